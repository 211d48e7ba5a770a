// Ranks that act together: the collectives a training step is made of.
//
// Implementations: Solo (one rank, nothing moves), InProcess (ranks are threads of one process, for tests and
// examples), MPI. NCCL, shared windows and the dry communicator of rehearsal join behind this interface; so the
// interface knows bytes and element types, no tensors, no models and no devices.
//
// Collective calls: all ranks make the same calls in the same order, from one thread per rank. They return once
// queued; buffers belong to the communicator until the returned Event is done. Sums are fp32 for bf16 and fp32
// data (fp64 for fp64), taken in rank order 0, 1, ... n-1, so that the bits depend neither on timing nor on which
// rank asks. AllReduce is ReduceScatter plus AllGather, to the bit.
//
// Errors: an Event that ends in an error says which call, which rank and what the library said; after it the
// communicator is unusable (only Abort may follow). A peer that called Abort makes every pending and later call
// end with kAborted and the peer's message.
#ifndef STOWAGE_SHARDING_COMMUNICATOR_H_
#define STOWAGE_SHARDING_COMMUNICATOR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/dtype.h"
#include "sharding/event.h"

namespace stowage {

// Where this rank sits. Local ranks number the ranks of one host 0..local_size-1.
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

  virtual absl::string_view name() const = 0;  // "solo", "in-process", "mpi"
  virtual const Placement& placement() const = 0;
  int rank() const { return placement().rank; }
  int world_size() const { return placement().world_size; }

  // whole [shard_numel * world_size] on every rank -> shard [shard_numel]: the sum over ranks of
  // this rank's part, elements rank * shard_numel on. `shard` may be exactly that part of `whole` (in place).
  // kFloat32, kBFloat16, kFloat64, kInt64. Each rank sends (world_size - 1) * shard bytes.
  virtual Event ReduceScatter(const void* whole, void* shard, int64_t shard_numel, DType dtype) = 0;

  // shard [shard_numel] of every rank -> whole [shard_numel * world_size], by rank. In place as above.
  virtual Event AllGather(const void* shard, void* whole, int64_t shard_numel, DType dtype) = 0;

  // data [numel] becomes its sum over ranks. numel need not divide by world_size.
  virtual Event AllReduce(void* data, int64_t numel, DType dtype) = 0;

  // `bytes` bytes of rank `root` to all.
  virtual Event Broadcast(void* data, int64_t bytes, int root) = 0;

  // Short control messages, any length per rank; result by rank. Blocks.
  virtual absl::StatusOr<std::vector<std::string>> ExchangeText(absl::string_view mine) = 0;

  virtual absl::Status Barrier() = 0;

  // This rank cannot go on and the others cannot know: ends all of them within seconds, with `cause` on stderr.
  // MPI: does not return (MPI_Abort with exit code 1). Solo and InProcess: return; all later calls fail.
  virtual void Abort(const absl::Status& cause) = 0;

  // Bytes this rank has sent to peers so far (payload).
  virtual int64_t bytes_sent() const = 0;
};

}  // namespace stowage

#endif  // STOWAGE_SHARDING_COMMUNICATOR_H_
