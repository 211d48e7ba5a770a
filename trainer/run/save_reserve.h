// Addresses that a run keeps back from its start, so that its last save, when memory is at its end, has what it takes.
//
// A save writes tensors from where they lie and takes none; what it takes are texts: names, places and checksums of
// tensors, the config, the plan, the tokenizer (trainer/checkpoint). They come from malloc, which `ulimit -v`,
// `ulimit -d`, the budget's own RLIMIT_DATA and strict overcommit (vm.overcommit_memory=2) stop by addresses. So
// addresses are what is reserved, and no page is touched: pages are there by then, since the step that failed has given
// back its activations and gradients.
//
// Not thread-safe. Torch-free.
#ifndef STOWAGE_TRAINER_RUN_SAVE_RESERVE_H_
#define STOWAGE_TRAINER_RUN_SAVE_RESERVE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "trainer/checkpoint/manifest.h"

namespace stowage {

// What a save of so many tensors, whose names have `name_bytes` letters in all, takes at its most on one rank. A test
// saves with no more.
int64_t SaveBytes(const CheckpointInfo& info, int64_t tensors, int64_t name_bytes, int world_size);

class SaveReserve {
 public:
  // ResourceExhausted: `bytes` of addresses are not to be had.
  static absl::StatusOr<SaveReserve> Take(int64_t bytes);
  ~SaveReserve() { Release(); }
  SaveReserve(SaveReserve&& other) noexcept;
  SaveReserve& operator=(SaveReserve&&) = delete;

  // Gives the addresses back, for the save that follows.
  void Release();

 private:
  SaveReserve(void* begin, int64_t bytes) : begin_(begin), bytes_(bytes) {}

  void* begin_;
  int64_t bytes_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_SAVE_RESERVE_H_
