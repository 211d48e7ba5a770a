#include "trainer/run/plan_json.h"

#include <nlohmann/json.hpp>

#include "trainer/executor/executor.h"

namespace stowage {

std::string PlanJson(const Config& config, const Model& model, const Schedule& train_step, int world_size,
                     int threads) {
  using nlohmann::ordered_json;
  const ModelShape shape = ShapeOf(model);
  ordered_json plan;
  plan["planner"] = "fixed rule";
  plan["world_size"] = world_size;
  plan["threads"] = threads;
  plan["global_batch"] = config.train.global_batch;
  plan["micro_batch"] = *config.train.micro_batch;
  plan["micro_batches_per_rank"] = train_step.micro_batches;
  plan["reduce_per"] = config.train.reduce_per;
  plan["zero"] = *config.sharding.zero;
  plan["recompute"] = config.memory.recompute;
  plan["precision"] = config.precision;
  for (const SegmentSpec& segment : model.segments) {
    plan["segments"].push_back(
        {{"name", segment.name}, {"compute", segment.compute == at::kBFloat16 ? "bf16" : "fp32"}});
  }
  for (const GroupSpec& group : model.groups) {
    ordered_json parameters = ordered_json::array();
    int64_t numel = 0;
    for (const ParameterSpec& p : group.parameters) {
      parameters.push_back({{"name", p.name}, {"shape", p.shape}, {"decay", p.decay()}});
      numel += p.numel();
    }
    plan["groups"].push_back({{"name", group.name}, {"numel", numel}, {"parameters", parameters}});
  }
  for (const Instruction& i : train_step.instructions) {
    ordered_json line = {{"op", OpName(i.op).data()}};
    if (TargetOf(i.op) == TargetKind::kSegment) {
      line["segment"] = shape.segments[i.target];
      line["micro"] = i.micro;
    }
    if (HasKeep(i.op)) line["keep"] = KeepName(i.keep).data();
    if (i.op == Op::kRecompute) line["from"] = i.from == From::kKept ? "kept inputs" : "segment before";
    if (TargetOf(i.op) == TargetKind::kGroup) line["group"] = shape.groups[i.target];
    if (i.event >= 0) line["event"] = i.event;
    plan["train_step"].push_back(line);
  }
  return plan.dump(1) + "\n";
}

}  // namespace stowage
