// Where the memory of a run goes, by closed formulas, next to what the rehearsal counted.
//
// The rehearsal is what Stowage plans by; the formulas are there to check it against, to see where bytes go, and to
// compare with what this run does not do: other ZeRO stages, and layers recomputed, are formulas only, and marked so.
// Formulas exist for gpt2 and llama; of every other kind only what was rehearsed is shown.
//
// Sources: state_bytes.h, activation_bytes.h. GB are 10^9 bytes, as in the papers. Pure functions; thread-safe.
#ifndef STOWAGE_TRAINER_BREAKDOWN_BREAKDOWN_H_
#define STOWAGE_TRAINER_BREAKDOWN_BREAKDOWN_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"
#include "trainer/breakdown/activation_bytes.h"
#include "trainer/breakdown/model_sizes.h"
#include "trainer/breakdown/state_bytes.h"
#include "trainer/config/config.h"
#include "trainer/plan/prediction.h"

namespace stowage {

struct DeviceSize {
  const char* name;
  int64_t bytes;
};
inline constexpr std::array<DeviceSize, 3> kDevices = {
    {{"RTX 4090", 24'000'000'000}, {"A100", 80'000'000'000}, {"H100", 80'000'000'000}}};

// One rank's bytes at one stage.
struct StageRow {
  int stage = 0;
  int64_t ranks = 1;
  StateBytes states;
  int64_t total = 0;  // with activations
  std::array<bool, kDevices.size()> fits = {};
};

struct FormulaBreakdown {
  ParameterCounts parameters;
  StateBytes states;  // at ZeRO 0
  // nullopt where the formula does not say what is kept: fp32_segments, or LibTorch's attention with grouped heads.
  std::optional<ActivationBytes> activations;
  ActivationBytes literature;          // of a layer in the element size of the config's precision
  // Both with `activations`, or with the literature's where there are none, which is said beside them.
  int64_t activations_recomputed = 0;  // each layer from its input: section 5 of the paper
  std::vector<StageRow> stages;
};

// A step's peaks by category, as rehearsed.
struct RehearsedBytes {
  std::optional<int64_t> parameters, gradients, optimizer, activations;
};

struct MemoryBreakdown {
  std::string kind, precision, optimizer;
  int64_t micro_batch = 0, context = 0;
  int64_t world_size = 1;
  std::optional<FormulaBreakdown> formula;  // nullopt: as rehearsed only
  std::optional<RehearsedBytes> rehearsed;
};

// `resolved`: with its data's sizes filled in. `prediction`: null, or this config's. InvalidArgument: world_size below
// 1, or a size is still auto.
absl::StatusOr<MemoryBreakdown> BreakdownOf(const Config& resolved, int64_t world_size, const Prediction* prediction);

// For a terminal.
std::vector<std::string> BreakdownLines(const MemoryBreakdown& breakdown);

// What is not there is left out, never 0.
nlohmann::ordered_json BreakdownJson(const MemoryBreakdown& breakdown);

// The well-known sums for 7 * 10^9 parameters, which ours may be held against.
std::vector<std::string> SevenBillionLines();

}  // namespace stowage

#endif  // STOWAGE_TRAINER_BREAKDOWN_BREAKDOWN_H_
