// Counts steps that were skipped since their loss or gradients were not finite, and says when it is enough.
//
// A skipped step has consumed its samples: it counts as a step, of the run and of its data, as with PyTorch's
// GradScaler. It is no update: the optimizer's own count (AdamW's bias correction) and the learning rate's schedule go
// by updates. Pure counting: all ranks are told the same and so answer the same. Not thread-safe.
#ifndef STOWAGE_TRAINER_RUN_SKIP_POLICY_H_
#define STOWAGE_TRAINER_RUN_SKIP_POLICY_H_

#include <cstdint>

namespace stowage {

class SkipPolicy {
 public:
  // `most_in_a_row` >= 1: with so many in a row the run ends. `skipped` and `in_a_row`: of the run so far.
  SkipPolicy(int64_t most_in_a_row, int64_t skipped, int64_t in_a_row)
      : most_in_a_row_(most_in_a_row), skipped_(skipped), in_a_row_(in_a_row) {}

  // A step was skipped. True: the run is to end.
  bool Skipped() {
    ++skipped_;
    return ++in_a_row_ >= most_in_a_row_;
  }
  // A step was updated.
  void Updated() { in_a_row_ = 0; }

  int64_t skipped() const { return skipped_; }  // since the run began, before a resume too
  int64_t in_a_row() const { return in_a_row_; }
  int64_t most_in_a_row() const { return most_in_a_row_; }

 private:
  const int64_t most_in_a_row_;
  int64_t skipped_;
  int64_t in_a_row_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_SKIP_POLICY_H_
