#include "trainer/breakdown/breakdown.h"

#include <algorithm>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace stowage {
namespace {

// Sizes of machines that people ask about, besides the one at hand.
constexpr int64_t kRanks[] = {1, 8, 64, 1024};

std::vector<StageRow> Stages(const StateBytes& whole, int64_t activations, int64_t world_size) {
  std::set<int64_t> worlds(std::begin(kRanks), std::end(kRanks));
  worlds.insert(world_size);
  std::vector<StageRow> rows;
  for (int stage = 0; stage <= 3; ++stage) {
    for (const int64_t ranks : worlds) {
      // A replica is the same whatever the number of ranks, and one rank has nobody to share with.
      if (stage == 0 ? ranks != world_size : ranks == 1) continue;
      StageRow row;
      row.stage = stage;
      row.ranks = ranks;
      row.states = Sharded(whole, stage, ranks);
      row.total = row.states.total() + activations;
      for (size_t d = 0; d < kDevices.size(); ++d) row.fits[d] = row.total <= kDevices[d].bytes;
      rows.push_back(row);
    }
  }
  return rows;
}

// The formula is of what is kept where nothing is recomputed, and knows fused attention's own saved tensors only where
// heads are not shared.
bool KnowsWhatIsKept(const Config& config, const ModelSizes& sizes) {
  if (!config.fp32_segments.empty() || (config.memory.recompute != "none" && config.memory.recompute != "auto")) {
    return false;
  }
  return config.model.attention != "fused" || sizes.kv_heads == sizes.heads;
}

FormulaBreakdown Formula(const Config& config, const ModelSizes& sizes, int64_t world_size) {
  const bool bf16 = config.precision != "fp32";
  const int64_t element_bytes = bf16 ? 2 : 4, sequences = *config.train.micro_batch;
  FormulaBreakdown formula;
  formula.parameters = CountParameters(sizes);
  formula.states = OwnStates(formula.parameters, config.optimizer, bf16);
  formula.literature = ActivationsInTheLiterature(sizes, sequences, element_bytes);
  if (KnowsWhatIsKept(config, sizes)) formula.activations = OwnActivations(sizes, sequences, element_bytes);
  const ActivationBytes kept = formula.activations.value_or(formula.literature);
  // Every layer's input, and one layer whole while it is played again.
  const int64_t inputs = sizes.layers * element_bytes * sequences * sizes.context * sizes.width;
  const int64_t one_layer = (kept.total() - kept.embeddings - kept.head) / std::max<int64_t>(1, sizes.layers);
  formula.activations_recomputed = kept.embeddings + kept.head + inputs + one_layer;
  formula.stages = Stages(formula.states, kept.total(), world_size);
  return formula;
}

std::optional<RehearsedBytes> Rehearsed(const Prediction* prediction) {
  if (prediction == nullptr) return std::nullopt;
  for (const PhasePrediction& phase : prediction->phases) {
    if (phase.phase != "step") continue;
    const auto peak = [&](const char* category) -> std::optional<int64_t> {
      const auto found = phase.peak_bytes.find(category);
      if (found == phase.peak_bytes.end()) return std::nullopt;
      return found->second;
    };
    return RehearsedBytes{peak("parameters"), peak("gradients"), peak("optimizer"), peak("activations")};
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<MemoryBreakdown> BreakdownOf(const Config& resolved, int64_t world_size, const Prediction* prediction) {
  if (world_size < 1)
    return absl::InvalidArgumentError(absl::StrCat("a breakdown for ", world_size, " ranks: from 1 on"));
  if (!resolved.train.micro_batch.has_value()) {
    return absl::InvalidArgumentError("train.micro_batch: is still auto; resolve the config with its data first");
  }
  MemoryBreakdown breakdown;
  breakdown.kind = resolved.model.kind;
  breakdown.precision = resolved.precision;
  breakdown.optimizer = resolved.optimizer.kind;
  breakdown.micro_batch = *resolved.train.micro_batch;
  breakdown.context = resolved.model.context;
  breakdown.world_size = world_size;
  breakdown.rehearsed = Rehearsed(prediction);
  if (HasSizes(resolved.model.kind)) {
    STOWAGE_ASSIGN_OR_RETURN(const ModelSizes sizes, SizesOf(resolved));
    breakdown.formula = Formula(resolved, sizes, world_size);
  }
  return breakdown;
}

}  // namespace stowage
