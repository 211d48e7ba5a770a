// What a stretch of work left in malloc's heap: for work that a rehearsal does really, such as opening data.
#ifndef STOWAGE_TRAINER_CALIBRATION_HEAP_GROWTH_H_
#define STOWAGE_TRAINER_CALIBRATION_HEAP_GROWTH_H_

#include <malloc.h>

#include <cstdint>

namespace stowage {

// Bytes, of all arenas. Once malloc neither maps nor trims (SetUpProcess sees to that), `taken` never shrinks: its
// growth is the most that the work held at once.
struct HeapBytes {
  int64_t in_use = 0;
  int64_t taken = 0;  // from the system: blocks, and what lies idle between them

  static HeapBytes Now() {
    const struct mallinfo2 info = mallinfo2();
    return {static_cast<int64_t>(info.uordblks + info.hblkhd), static_cast<int64_t>(info.arena + info.hblkhd)};
  }
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CALIBRATION_HEAP_GROWTH_H_
