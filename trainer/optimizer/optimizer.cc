#include "trainer/optimizer/optimizer.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "trainer/optimizer/adamw_optimizer.h"
#include "trainer/optimizer/sgd_optimizer.h"

namespace stowage {

void Optimizer::Update(float* parameters, const float* gradients, absl::Span<float* const> states,
                       absl::Span<const OptimizerRange> ranges, const UpdateScalars& scalars) const {
  STOWAGE_CHECK(states.size() == state_tensors().size()) << states.size() << " states of " << state_tensors().size();
  std::vector<float*> piece_states(states.size());
  int64_t done = 0;
  for (const OptimizerRange& range : ranges) {
    STOWAGE_CHECK(done <= range.begin && range.begin <= range.end)
        << "range [" << range.begin << ", " << range.end << ") after " << done;
    done = range.end;
    for (int64_t at = range.begin; at < range.end; at += kUpdatePieceNumel) {
      for (size_t k = 0; k < states.size(); ++k) piece_states[k] = states[k] + at;
      uint16_t* const bf16 = range.bf16 == nullptr ? nullptr : range.bf16 + (at - range.begin);
      const int64_t numel = std::min(kUpdatePieceNumel, range.end - at);
      const double lr = scalars.lr * range.lr_scale;
      UpdatePiece({parameters + at, gradients + at, piece_states, bf16, numel, lr, range.decay}, scalars);
    }
  }
}

absl::StatusOr<std::unique_ptr<Optimizer>> MakeOptimizer(const OptimizerConfig& config) {
  const std::string& schedule = config.schedule.kind;
  if (schedule != "constant" && schedule != "linear" && schedule != "cosine") {
    return absl::InvalidArgumentError(
        absl::StrCat("optimizer.schedule.kind: '", schedule, "'; write constant, linear or cosine"));
  }
  if (config.kind == "adamw") return std::make_unique<AdamWOptimizer>(config);
  if (config.kind == "sgd") return std::make_unique<SgdOptimizer>(config);
  return absl::InvalidArgumentError(absl::StrCat("optimizer.kind: '", config.kind, "'; write adamw or sgd"));
}

}  // namespace stowage
