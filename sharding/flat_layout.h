// Where each parameter of a group lies in the group's one flat buffer, and which part is whose.
//
//   whole  [shard_numel * world_size]
//   shard  [shard_numel]               this rank's elements, from rank * shard_numel on
//
// Each parameter starts at a 64-byte boundary (so vectors never straddle two, and shards can be cut anywhere that
// is aligned); the gaps are padding and stay zero. The layout is the same at every ZeRO stage, and the offsets do
// not depend on the world size: only the padding at the end does.
//
// Source: Rajbhandari et al., "ZeRO", arXiv:1910.02054, section 5.3; here padding is per group.
// Plain data after construction; thread-safe.
#ifndef STOWAGE_SHARDING_FLAT_LAYOUT_H_
#define STOWAGE_SHARDING_FLAT_LAYOUT_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace stowage {

class FlatLayout {
 public:
  // `numels`: elements of each parameter, in order. `alignment_numel`: elements per boundary, 16 for fp32.
  FlatLayout(absl::Span<const int64_t> numels, int world_size, int64_t alignment_numel = 16);

  int64_t offset(int parameter) const { return offsets_[parameter]; }  // elements from the start of `whole`
  int64_t numel(int parameter) const { return numels_[parameter]; }
  int parameters() const { return static_cast<int>(offsets_.size()); }
  int64_t whole_numel() const { return shard_numel_ * world_size_; }
  int64_t shard_numel() const { return shard_numel_; }

 private:
  std::vector<int64_t> numels_;
  std::vector<int64_t> offsets_;
  int64_t shard_numel_ = 0;
  int world_size_ = 1;
};

}  // namespace stowage

#endif  // STOWAGE_SHARDING_FLAT_LAYOUT_H_
