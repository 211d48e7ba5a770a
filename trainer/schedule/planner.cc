#include "trainer/schedule/planner.h"

#include <vector>

namespace stowage {
namespace {

Instruction Forward(int segment, int micro, Keep keep) { return {Op::kForward, segment, micro, -1, keep}; }
Instruction Backward(int segment, int micro) { return {Op::kBackward, segment, micro, -1, Keep::kAll}; }
Instruction Release(int group) { return {Op::kRelease, group, -1, -1, Keep::kAll}; }
Instruction Reduce(int group, int event) { return {Op::kReduce, group, -1, event, Keep::kAll}; }
Instruction Wait(int event) { return {Op::kWait, -1, -1, event, Keep::kAll}; }
Instruction Agree() { return {Op::kAgree, -1, -1, -1, Keep::kAll}; }
Instruction Update(int group) { return {Op::kUpdate, group, -1, -1, Keep::kAll}; }

}  // namespace

Schedule WriteTrainStep(const ModelShape& model, int micro_batches) {
  const int segments = static_cast<int>(model.segments.size());
  const int groups = static_cast<int>(model.groups.size());
  // Backward runs from the last segment to the first: a group is done at the first segment that uses it, and its copies
  // at the first that reads them. (Tied weights: the head multiplies by the copy, the embedding reads masters.)
  std::vector<int> first_use(groups, segments), first_read(groups, segments);
  for (int s = segments - 1; s >= 0; --s) {
    for (int g : model.groups_used[s]) first_use[g] = s;
    for (int g : model.read_by_backward(s)) first_read[g] = s;
  }

  Schedule schedule;
  schedule.name = "train step";
  schedule.micro_batches = micro_batches;
  auto& list = schedule.instructions;
  // In the order in which gradients are done. Each update gives back its gradients, so the largest group of a language
  // model, its embedding, takes the bytes of its new copies when those of all others are free.
  std::vector<Instruction> updates;
  for (int m = 0; m < micro_batches; ++m) {
    for (int s = 0; s < segments; ++s) list.push_back(Forward(s, m, Keep::kAll));
    for (int s = segments - 1; s >= 0; --s) {
      list.push_back(Backward(s, m));
      if (m != micro_batches - 1) continue;
      for (int g = 0; g < groups; ++g) {
        if (model.has_copies(g) && first_read[g] == s) list.push_back(Release(g));
        if (first_use[g] != s) continue;
        list.push_back(Reduce(g, schedule.events++));
        updates.push_back(Update(g));
      }
    }
  }
  for (int e = 0; e < schedule.events; ++e) list.push_back(Wait(e));
  list.push_back(Agree());
  list.insert(list.end(), updates.begin(), updates.end());
  return schedule;
}

Schedule WriteEvaluation(const ModelShape& model, int micro_batches) {
  Schedule schedule;
  schedule.name = "evaluation";
  schedule.micro_batches = micro_batches;
  for (int m = 0; m < micro_batches; ++m) {
    for (int s = 0; s < static_cast<int>(model.segments.size()); ++s) {
      schedule.instructions.push_back(Forward(s, m, Keep::kNothing));
    }
  }
  schedule.instructions.push_back(Agree());
  return schedule;
}

}  // namespace stowage
