#include "memory/pool/fragmentation_watch.h"

namespace stowage {

std::optional<FragmentationCleanup> FragmentationWatch::Check() {
  const PoolStatistics before = pool_->Statistics();
  const bool was_above = above_;
  above_ = before.slack() > limit_;
  if (!above_ || was_above) return std::nullopt;
  FragmentationCleanup cleanup;
  cleanup.slack_before = before.slack();
  cleanup.released_bytes = pool_->Trim();
  const PoolStatistics after = pool_->Statistics();
  cleanup.slack_after = after.slack();
  cleanup.choosing_ns = after.choosing_ns - before.choosing_ns;
  cleanup.system_ns = after.system_ns - before.system_ns;
  above_ = after.slack() > limit_;
  return cleanup;
}

}  // namespace stowage
