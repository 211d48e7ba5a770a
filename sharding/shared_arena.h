// Buffers that all ranks of a host map: collectives on them copy nothing twice.
//
// A buffer of the arena is an ordinary buffer for every call of the communicator that it came from. Where all ranks give
// one, at whatever place: reduce_scatter reads the peers' buffers in rank order and writes this rank's part only;
// all_gather copies once; all_reduce works in place. An all_gather whose `whole` is one common buffer, with
// each shard in its place there, moves nothing: it is a wait.
#ifndef STOWAGE_SHARDING_SHARED_ARENA_H_
#define STOWAGE_SHARDING_SHARED_ARENA_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"

namespace stowage {

// Zeros at first. Gives its memory back when it is destroyed, on every rank by itself, after the last call to which any
// rank gives it. Must not outlive the communicator.
class SharedBuffer {
 public:
  virtual ~SharedBuffer() = default;
  // This rank's bytes, 4096-byte aligned; of a common buffer: the one copy of all.
  virtual char* data() const = 0;
  // The same bytes of `rank`, which must have written them before a collective that both have been through.
  virtual char* of(int rank) const = 0;
  virtual int64_t bytes() const = 0;
};

class SharedArena {
 public:
  virtual ~SharedArena() = default;
  // A buffer of `bytes` (>= 1) for each rank / one that all ranks have in common. Collective: all ranks, in the order
  // of their collectives, with the same size. Blocks. ResourceExhausted, on all ranks: one of them has no room.
  virtual absl::StatusOr<std::unique_ptr<SharedBuffer>> Allocate(int64_t bytes) = 0;
  virtual absl::StatusOr<std::unique_ptr<SharedBuffer>> AllocateCommon(int64_t bytes) = 0;
};

}  // namespace stowage

#endif  // STOWAGE_SHARDING_SHARED_ARENA_H_
