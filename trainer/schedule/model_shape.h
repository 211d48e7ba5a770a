// A model as those see it who write, check and print schedules: names, and which segment uses which group.
//
// Plain data. Torch-free.
#ifndef STOWAGE_TRAINER_SCHEDULE_MODEL_SHAPE_H_
#define STOWAGE_TRAINER_SCHEDULE_MODEL_SHAPE_H_

#include <string>
#include <vector>

#include "trainer/schedule/recompute_span.h"

namespace stowage {

struct ModelShape {
  std::vector<std::string> segments;          // names, in forward order
  std::vector<std::string> groups;            // names
  std::vector<std::vector<int>> groups_used;  // per segment, without repetition
  std::vector<bool> copied;                   // per group: segments work on copies in another dtype; empty: none does
  // Per segment: those of its groups whose copies it computes with, in backward and when it is recomputed; empty: all
  // that it uses. (Forward is held to have all.)
  std::vector<std::vector<int>> copies_read_by_backward;

  // Per group: its parameters are not trained, so they have no gradient, no reduction and no update; empty: none is.
  std::vector<bool> frozen;
  // The first segment that uses a group that is trained. Backward ends there, and of the segments before it a training
  // step keeps nothing.
  int first_trained = 0;

  // What is recomputed in a training step, just before its backward. What reaches to the last segment is not: its
  // backward comes at once, so it keeps all, or, if it has inner spans, what those say.
  RecomputeSpans recompute;

  // How it is spread over ranks. `zero_stages`: per group, 0 to 3; empty: all 0.
  std::vector<int> zero_stages;
  bool reduce_per_micro = false;  // gradients are summed up over ranks after each micro-batch
  int gather_ahead = 1;           // groups of stage 3 that are gathered before their use
  std::vector<bool> backward_reads_parameters;  // per segment: whether backward reads parameters; empty: all do

  int zero_stage(int group) const { return zero_stages.empty() ? 0 : zero_stages[group]; }
  bool backward_reads(int segment) const {
    return backward_reads_parameters.empty() || backward_reads_parameters[segment];
  }
  bool is_frozen(int group) const { return !frozen.empty() && frozen[group]; }
  bool has_copies(int group) const { return !copied.empty() && copied[group]; }
  const std::vector<int>& read_by_backward(int segment) const {
    return copies_read_by_backward.empty() ? groups_used[segment] : copies_read_by_backward[segment];
  }
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_SCHEDULE_MODEL_SHAPE_H_
