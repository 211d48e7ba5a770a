#include "sharding/flat_layout.h"

#include "base/check.h"

namespace stowage {
namespace {

int64_t RoundUp(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

}  // namespace

FlatLayout::FlatLayout(absl::Span<const int64_t> numels, int world_size, int64_t alignment_numel)
    : numels_(numels.begin(), numels.end()), world_size_(world_size) {
  STOWAGE_CHECK(world_size >= 1) << "world_size " << world_size;
  STOWAGE_CHECK(alignment_numel >= 1) << "alignment_numel " << alignment_numel;
  offsets_.reserve(numels_.size());
  int64_t end = 0;
  for (int64_t numel : numels_) {
    STOWAGE_CHECK(numel >= 0) << "numel " << numel;
    offsets_.push_back(end);
    end = RoundUp(end + numel, alignment_numel);
  }
  // A shard is a whole number of boundaries, so that every shard starts as well aligned as the buffer itself.
  const int64_t boundaries = end / alignment_numel;
  shard_numel_ = RoundUp(boundaries, world_size) / world_size * alignment_numel;
}

}  // namespace stowage
