#include "trainer/breakdown/state_bytes.h"

#include "base/check.h"

namespace stowage {
namespace {

int64_t StatesOf(const OptimizerConfig& optimizer) {
  if (optimizer.kind == "adamw") return 2;
  STOWAGE_CHECK(optimizer.kind == "sgd") << optimizer.kind;
  return optimizer.momentum == 0.0 ? 0 : 1;
}

}  // namespace

StateBytes StatesIn16Bits(int64_t parameters) { return {2 * parameters, 2 * parameters, 4 * parameters}; }

StateBytes MixedPrecisionStates(int64_t parameters) { return {2 * parameters, 2 * parameters, 12 * parameters}; }

StateBytes OwnStates(const ParameterCounts& counts, const OptimizerConfig& optimizer, bool bf16) {
  const int64_t all = counts.total();
  StateBytes bytes;
  bytes.gradients = 4 * all;
  bytes.optimizer = 4 * StatesOf(optimizer) * all;
  if (!bf16) {
    bytes.parameters = 4 * all;
    return bytes;
  }
  const bool tied = counts.head == 0;
  const int64_t embedding_group = counts.embedding + counts.positions;
  // Groups without a copy stay parameters in fp32: an embedding of its own, and a head that is a norm only.
  const int64_t uncopied_groups = tied ? counts.head_norm : embedding_group;
  const int64_t copied = counts.linear + counts.head + (tied ? counts.embedding : 0);
  bytes.parameters = 2 * copied + 4 * uncopied_groups;
  bytes.optimizer += 4 * (all - uncopied_groups);
  return bytes;
}

StateBytes Sharded(const StateBytes& whole, int stage, int64_t ranks) {
  STOWAGE_CHECK(stage >= 0 && stage <= 3 && ranks >= 1) << "ZeRO " << stage << " on " << ranks << " ranks";
  const auto part = [&](int64_t bytes, int from_stage) {
    return stage >= from_stage ? bytes / ranks + (bytes % ranks != 0 ? 1 : 0) : bytes;
  };
  return {part(whole.parameters, 3), part(whole.gradients, 2), part(whole.optimizer, 1)};
}

}  // namespace stowage
