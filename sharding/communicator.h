// Ranks that act together: the collectives a training step is made of.
//
// Implementations: Solo (one rank, nothing moves), InProcess (ranks are threads
// of one process, for tests and examples), MPI. NCCL, shared windows and the
// dry communicator of rehearsal join behind this interface; so the interface
// knows bytes and element types, no tensors, no models and no devices.
//
// Collective calls: all ranks make the same calls in the same order, from one
// thread per rank. They return once queued; buffers belong to the communicator
// until the returned Event is done. Buffers may be larger than 2 GiB: what goes
// over a wire is cut. Reductions are computed in fp32 for fp32, bf16 and fp16
// data (rounded once), in fp64 for fp64, wrapping for integers, and take ranks
// in the order 0, 1, ... n-1, so that the bits depend neither on timing nor on
// which rank asks. AllReduce is ReduceScatter plus AllGather, to the bit.
//
// Send and Receive pair two ranks: the n-th Send of one rank to another meets
// the n-th Receive of that rank from it, whatever else both do; they need not
// be ordered against collectives. A call starts after the rank's earlier calls
// have started, and a collective holds up what was called after it, so no rank
// may wait for a peer's call that this rank's earlier collective holds up.
//
// Errors: an Event that ends in an error says which call, which rank and what
// the library said; after it the communicator is unusable (only Abort may
// follow). A peer that called Abort makes every pending and later call end with
// kAborted and the peer's message.
#ifndef STOWAGE_SHARDING_COMMUNICATOR_H_
#define STOWAGE_SHARDING_COMMUNICATOR_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/dtype.h"
#include "kernels/reduction.h"
#include "sharding/collective_request.h"
#include "sharding/event.h"

namespace stowage {

class SharedArena; // sharding/shared_arena.h

// Where this rank sits. Local ranks number the ranks of one host
// 0..local_size-1.
struct Placement {
  int rank = 0;
  int world_size = 1;
  int local_rank = 0;
  int local_size = 1;
  std::string host;
};

class Communicator {
public:
  virtual ~Communicator() = default;

  virtual absl::string_view name() const = 0; // "solo", "in-process", "mpi"...
  virtual const Placement &placement() const = 0;
  int rank() const { return placement().rank; }
  int world_size() const { return placement().world_size; }

  // whole [shard_numel * world_size] on every rank -> shard [shard_numel]: the
  // reduction over ranks of this rank's part, elements rank * shard_numel on.
  // `shard` may be exactly that part of `whole` (in place). kFloat32,
  // kBFloat16, kFloat16, kFloat64, kInt32, kInt64; kMean: not of integers. Each
  // rank sends (world_size - 1) * shard bytes.
  Event ReduceScatter(const void *whole, void *shard, int64_t shard_numel,
                      DType dtype, Reduction op = Reduction::kSum) {
    return Submit({CollectiveKind::kReduceScatter, whole, shard, shard_numel,
                   dtype, 0, op});
  }

  // shard [shard_numel] of every rank -> whole [shard_numel * world_size], by
  // rank. In place as above. Any dtype.
  Event AllGather(const void *shard, void *whole, int64_t shard_numel,
                  DType dtype) {
    return Submit(
        {CollectiveKind::kAllGather, shard, whole, shard_numel, dtype});
  }

  // The same for parts that differ: rank r's is [numels[r]], and lies in
  // `whole` after those of lower ranks. All ranks give the same `numels`
  // (world_size of them, 0 or more each).
  Event AllGatherUneven(const void *mine, void *whole,
                        std::vector<int64_t> numels, DType dtype) {
    return Submit({CollectiveKind::kAllGather, mine, whole, 0, dtype, 0,
                   Reduction::kSum, std::move(numels)});
  }

  // data [numel] becomes its reduction over ranks. numel need not divide by
  // world_size. Types as ReduceScatter.
  Event AllReduce(void *data, int64_t numel, DType dtype,
                  Reduction op = Reduction::kSum) {
    return Submit(
        {CollectiveKind::kAllReduce, data, data, numel, dtype, 0, op});
  }

  // `bytes` bytes of rank `root` to all.
  Event Broadcast(void *data, int64_t bytes, int root) {
    return Submit(
        {CollectiveKind::kBroadcast, data, data, bytes, DType::kUInt8, root});
  }

  // to [numel * world_size], by receiving rank -> from [numel * world_size], by
  // sending rank. The two must not overlap. Each rank sends (world_size - 1) *
  // numel elements.
  Event AllToAll(const void *to, void *from, int64_t numel, DType dtype) {
    return Submit({CollectiveKind::kAllToAll, to, from, numel, dtype});
  }

  // `bytes` bytes to one peer, and from one. Only these two ranks call.
  // InvalidArgument at once: a peer outside the group or this rank itself, a
  // negative size, a null buffer. Both give the same size: else the receiver's
  // event ends with InvalidArgument, and the group is as unusable as after any
  // error.
  virtual Event Send(const void *data, int64_t bytes, int to) = 0;
  virtual Event Receive(void *data, int64_t bytes, int from) = 0;

  // Short control messages, any length per rank; result by rank. Blocks.
  virtual absl::StatusOr<std::vector<std::string>>
  ExchangeText(absl::string_view mine) = 0;

  virtual absl::Status Barrier() = 0;

  // This rank cannot go on and the others cannot know: ends all of them within
  // seconds, with `cause` on stderr. MPI: does not return (MPI_Abort with exit
  // code 1). Solo and InProcess: return; all later calls fail.
  virtual void Abort(const absl::Status &cause) = 0;

  // Bytes this rank has sent to peers so far (payload).
  virtual int64_t bytes_sent() const = 0;

  // Buffers that all ranks map; null where the ranks share no memory. The
  // communicator's own.
  virtual SharedArena *shared() { return nullptr; }

protected:
  // Checks the request (CheckRequest) and queues it.
  virtual Event Submit(const CollectiveRequest &request) = 0;
};

} // namespace stowage

#endif // STOWAGE_SHARDING_COMMUNICATOR_H_
