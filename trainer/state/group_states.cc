#include "trainer/state/group_states.h"

#include "trainer/model/precision.h"

namespace stowage {

GroupStates MakeGroupStates(const Model& model, int world_size, int rank) {
  const std::vector<std::vector<bool>> in_bf16 = Bf16Parameters(model), in_fp32 = Fp32Parameters(model);
  GroupStates states;
  for (size_t g = 0; g < model.groups.size(); ++g) {
    states.push_back(std::make_unique<GroupState>(model.groups[g], world_size, in_bf16[g], rank, in_fp32[g]));
  }
  return states;
}

std::vector<Parameter> ParametersFor(const SegmentSpec& segment, const GroupStates& groups, bool with_gradient) {
  std::vector<Parameter> parameters;
  for (const ParameterId& id : segment.parameters) {
    parameters.push_back(groups[id.group]->parameter(id.parameter, segment.parameter_dtype(), with_gradient));
  }
  return parameters;
}

}  // namespace stowage
