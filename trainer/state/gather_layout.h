// Where the elements of some of a group's parameters lie once they are gathered from the ranks' shards.
//
//   whole     [shard_numel * world_size]   the group's layout: all parameters, in which rank r owns one shard
//   gathered  [numel()]                    the chosen parameters only, one after another, each with its padding
//
// Every rank brings what its shard holds of the chosen ones, in order, so that an uneven all-gather puts each element
// in its place: a layer's matrices are sent in bf16 and its norms in fp32, and neither twice. With all parameters
// chosen, gathered and whole are the same.
//
// Plain data after construction; thread-safe. Torch-free.
#ifndef STOWAGE_TRAINER_STATE_GATHER_LAYOUT_H_
#define STOWAGE_TRAINER_STATE_GATHER_LAYOUT_H_

#include <cstdint>
#include <vector>

#include "sharding/flat_layout.h"

namespace stowage {

class GatherLayout {
 public:
  // `chosen`: parameters of `layout`, ascending.
  GatherLayout(const FlatLayout& layout, int world_size, const std::vector<int>& chosen);

  int64_t numel() const { return numel_; }
  // Where chosen parameter number `k` begins, a multiple of the layout's alignment.
  int64_t offset(int k) const { return offsets_[k]; }

  // By rank: how much it brings.
  const std::vector<int64_t>& part_numels() const { return part_numels_; }
  bool even() const;

  // A run of elements that the chosen parameters have in one rank's shard.
  struct Run {
    int64_t whole = 0;     // where it begins in whole
    int64_t gathered = 0;  // where it begins in gathered
    int64_t numel = 0;
  };
  // What rank `rank` brings; one run where its chosen parameters are neighbours.
  const std::vector<Run>& part(int rank) const { return parts_[rank]; }

 private:
  int64_t numel_ = 0;
  std::vector<int64_t> offsets_;
  std::vector<int64_t> part_numels_;
  std::vector<std::vector<Run>> parts_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_STATE_GATHER_LAYOUT_H_
