// What a run does after a step that ran out of memory on some rank, and so was voided on all (trainer/executor).
//
//   micro-batch > 1, and train.micro_batch: auto   the step is repeated with half the micro-batch, rounded up
//   else, the first time in this step              the step is repeated as it was; idle memory was given back meanwhile
//   else                                           the run saves and ends
//
// A smaller micro-batch stays for the steps that follow: what did not fit once would not fit again soon, and a run
// whose micro-batch went up and down would have other bits at every start. Each void makes it smaller or is the last
// but one, so no step is repeated without end.
//
// All ranks ask after the same voids, and so are answered the same. Torch-free; not thread-safe.
#ifndef STOWAGE_TRAINER_RUN_SHORTAGE_POLICY_H_
#define STOWAGE_TRAINER_RUN_SHORTAGE_POLICY_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace stowage {

class ShortagePolicy {
 public:
  enum class Next { kRepeatSmaller, kRepeatAsItWas, kSaveAndEnd };

  // `micro_batch` >= 1, in samples. `fixed`: the config says it, so it is not for us to change.
  ShortagePolicy(int64_t micro_batch, bool fixed) : micro_batch_(micro_batch), fixed_(fixed) {}

  // The step was voided. micro_batch() is what it is to be repeated with.
  Next Voided();
  // The step was made, or skipped: the next one begins anew.
  void Made() { repeated_as_it_was_ = false; }

  int64_t micro_batch() const { return micro_batch_; }
  bool fixed() const { return fixed_; }
  // How often a step was voided.
  int64_t voided() const { return voided_; }

 private:
  int64_t micro_batch_;
  const bool fixed_;
  bool repeated_as_it_was_ = false;
  int64_t voided_ = 0;
};

// The cause in a few words: who asked, where, for how many bytes. The text of a shortage up to its first semicolon; its
// largest holders and advice come behind that.
absl::string_view CauseOf(absl::string_view shortage);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_SHORTAGE_POLICY_H_
