// A run of segments that is recomputed from one kept input.
//
// Plain data. Torch-free.
#ifndef STOWAGE_TRAINER_SCHEDULE_RECOMPUTE_SPAN_H_
#define STOWAGE_TRAINER_SCHEDULE_RECOMPUTE_SPAN_H_

#include <vector>

namespace stowage {

// Segments first, ..., end - 1. Forward keeps the inputs of `first` and nothing else of them; before their backward
// they are run again. With `inner` spans (within it, in order, apart), that second run keeps all of the segments that
// are in none, and only inputs of the inner ones, which are recomputed once more: another forward in time for less
// held.
struct RecomputeSpan {
  int first = 0;
  int end = 0;
  std::vector<RecomputeSpan> inner;
};

inline bool operator==(const RecomputeSpan& a, const RecomputeSpan& b) {
  return a.first == b.first && a.end == b.end && a.inner == b.inner;
}

// In order, apart; segments that are in none keep all.
using RecomputeSpans = std::vector<RecomputeSpan>;

}  // namespace stowage

#endif  // STOWAGE_TRAINER_SCHEDULE_RECOMPUTE_SPAN_H_
