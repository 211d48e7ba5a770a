// A model as those see it who write, check and print schedules: names, and which segment uses which group.
//
// Plain data. Torch-free.
#ifndef STOWAGE_TRAINER_SCHEDULE_MODEL_SHAPE_H_
#define STOWAGE_TRAINER_SCHEDULE_MODEL_SHAPE_H_

#include <string>
#include <vector>

namespace stowage {

struct ModelShape {
  std::vector<std::string> segments;          // names, in forward order
  std::vector<std::string> groups;            // names
  std::vector<std::vector<int>> groups_used;  // per segment, without repetition
  std::vector<bool> copied;                   // per group: segments work on copies in another dtype; empty: none does
  // Per segment: those of its groups whose copies its backward reads; empty: all that it uses. (Forward reads all.)
  std::vector<std::vector<int>> copies_read_by_backward;

  bool has_copies(int group) const { return !copied.empty() && copied[group]; }
  const std::vector<int>& read_by_backward(int segment) const {
    return copies_read_by_backward.empty() ? groups_used[segment] : copies_read_by_backward[segment];
  }
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_SCHEDULE_MODEL_SHAPE_H_
