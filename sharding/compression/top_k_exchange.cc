#include "sharding/compression/top_k_exchange.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "kernels/dry.h"
#include "kernels/parallel.h"
#include "kernels/top_k.h"

namespace stowage {
namespace {

int64_t Count(int64_t shard_numel, double keep) {
  STOWAGE_CHECK(0.0 < keep && keep <= 1.0) << keep;
  const int64_t count = static_cast<int64_t>(std::ceil(keep * static_cast<double>(shard_numel)));
  return std::clamp<int64_t>(count, std::min<int64_t>(1, shard_numel), shard_numel);
}

// The two halves of a shard's picks.
const float* ValuesOf(const uint32_t* picks, int64_t k) { return reinterpret_cast<const float*>(picks + k); }
float* ValuesOf(uint32_t* picks, int64_t k) { return reinterpret_cast<float*>(picks + k); }

}  // namespace

absl::Status CheckTopKShard(int64_t shard_numel) {
  if (shard_numel <= kernels::kMostTopKNumel) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("a shard of ", shard_numel, " elements has places beyond the ",
                                                 kernels::kMostTopKNumel,
                                                 " that top-k compression can name; use more ranks, or another kind"));
}

TopKExchange::TopKExchange(int64_t shard_numel, int world_size, double keep, bool to_all)
    : shard_numel_(shard_numel), world_size_(world_size), k_(Count(shard_numel, keep)), to_all_(to_all) {}

void TopKExchange::Pick(const float* whole, uint32_t* picks) const {
  if (kernels::Dry()) return;  // which only this thread knows
  kernels::ParallelFor(world_size_, /*grain=*/1, /*multiple=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t shard = begin; shard < end; ++shard) {
      uint32_t* const to = picks + shard * 2 * k_;
      kernels::TopK(whole + shard * shard_numel_, shard_numel_, k_, to, ValuesOf(to, k_));
    }
  });
}

void TopKExchange::Clear(const uint32_t* picks, float* whole) const {
  for (int shard = 0; shard < world_size_; ++shard) {
    kernels::ClearPlaces(picks + shard * 2 * k_, k_, whole + shard * shard_numel_);
  }
}

Event TopKExchange::Start(Communicator& communicator, const uint32_t* picks, uint32_t* received) const {
  // A collective knows no uint32; nothing is computed with them on the way.
  if (to_all_) return communicator.AllGather(picks, received, picks_words(), DType::kInt32);
  return communicator.AllToAll(picks, received, 2 * k_, DType::kInt32);
}

void TopKExchange::Sum(const uint32_t* received, float* sum) const {
  if (kernels::Dry()) return;
  const int64_t of_rank = to_all_ ? picks_words() : 2 * k_;
  kernels::ParallelFor(to_all_ ? world_size_ : 1, /*grain=*/1, /*multiple=*/1, [&](int64_t begin, int64_t end) {
    std::vector<kernels::Picks> all(world_size_);
    for (int64_t shard = begin; shard < end; ++shard) {
      for (int rank = 0; rank < world_size_; ++rank) {
        const uint32_t* const from = received + rank * of_rank + shard * 2 * k_;
        all[rank] = {from, ValuesOf(from, k_)};
      }
      kernels::SumPicks(all, k_, sum + shard * shard_numel_, shard_numel_);
    }
  });
}

}  // namespace stowage
