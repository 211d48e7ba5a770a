// A reduction in which each rank brings only the largest elements of each shard, with their places.
//
//   whole     [shard_numel * world_size]   this rank's gradients, fp32
//   picks     [world_size][2 * k]          of each shard: k places within it (uint32), then k values (fp32)
//   received  to_all:  [world_size][world_size][2 * k]   of each rank: its picks
//             else:    [world_size][2 * k]               of each rank: its picks of this rank's shard
//   sum       to_all: [shard_numel * world_size], else [shard_numel]: picks of rank 0, 1, ... n-1 added up in this
//   order
//
// k is the same for every shard, rank and step, so sizes are known beforehand. As many bytes as the dense reduction has
// elements of, times 2 k / shard_numel: where each owner gets its shard (AllToAll beside ReduceScatter) a share of 2 *
// keep whatever the number of ranks; where all get all (an all-gather of everybody's picks beside AllReduce) world_size
// * keep. An owner that sent its sums on would send up to world_size * k elements a shard, which is more. With keep = 1
// the sum has the bits of the dense reduction.
//
// Source: Lin et al., "Deep Gradient Compression", arXiv:1712.01887, section 3; the selection by shard is ours, so that
// every ZeRO stage sends the same picks.
//
// Functions on buffers that the caller holds; after construction constant and thread-safe, if the buffers are apart.
#ifndef STOWAGE_SHARDING_COMPRESSION_TOP_K_EXCHANGE_H_
#define STOWAGE_SHARDING_COMPRESSION_TOP_K_EXCHANGE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "sharding/communicator.h"
#include "sharding/event.h"

namespace stowage {

class TopKExchange {
 public:
  // `keep`: above 0, at most 1; at least one element a shard is sent. `to_all`: every rank gets all of the sum.
  // shard_numel: see CheckTopKShard.
  TopKExchange(int64_t shard_numel, int world_size, double keep, bool to_all);

  int64_t k() const { return k_; }
  // In words of 4 bytes, as all buffers of picks are.
  int64_t picks_words() const { return world_size_ * 2 * k_; }
  int64_t received_words() const { return to_all_ ? world_size_ * picks_words() : picks_words(); }

  // Writes the picks of `whole`. Splits over the OpenMP team.
  void Pick(const float* whole, uint32_t* picks) const;
  // Makes what was picked of `whole` negative zero, so that what is left can be added to other values.
  void Clear(const uint32_t* picks, float* whole) const;

  // Starts the exchange. Collective; both belong to the communicator until the event is done. `picks` may lie at this
  // rank's place in `received` where all get all.
  Event Start(Communicator& communicator, const uint32_t* picks, uint32_t* received) const;

  // Afterwards: what was received, added up. Splits over the OpenMP team.
  void Sum(const uint32_t* received, float* sum) const;

 private:
  const int64_t shard_numel_;
  const int world_size_;
  const int64_t k_;
  const bool to_all_;
};

// OK, or InvalidArgument: places in a shard so large do not fit 32 bits.
absl::Status CheckTopKShard(int64_t shard_numel);

}  // namespace stowage

#endif  // STOWAGE_SHARDING_COMPRESSION_TOP_K_EXCHANGE_H_
