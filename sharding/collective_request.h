// What one rank asks of a collective, checked the same way by every
// communicator.
#ifndef STOWAGE_SHARDING_COLLECTIVE_REQUEST_H_
#define STOWAGE_SHARDING_COLLECTIVE_REQUEST_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/dtype.h"
#include "kernels/reduction.h"

namespace stowage {

enum class CollectiveKind {
  kReduceScatter,
  kAllGather,
  kAllReduce,
  kBroadcast,
  kExchangeText,
  kBarrier,
  kAllToAll,
};

absl::string_view CollectiveName(CollectiveKind kind); // "reduce_scatter", ...

struct CollectiveRequest {
  CollectiveKind kind = CollectiveKind::kBarrier;
  const void *in = nullptr; // what this rank brings
  void *out =
      nullptr;       // what it gets; all_reduce and broadcast: the same as `in`
  int64_t numel = 0; // of the shard; all_reduce: of the data; all_to_all: for
                     // one peer; broadcast: bytes
  DType dtype = DType::kUInt8;
  int root = 0;
  Reduction op = Reduction::kSum;
  std::vector<int64_t>
      numels; // all_gather of parts that differ: each rank's; else empty

  // all_gather: of `peer`'s part, and where it lies in the whole.
  int64_t PartNumel(int peer) const {
    return numels.empty() ? numel : numels[peer];
  }
  int64_t PartBegin(int peer) const;

  // "all_gather of 1024 F32", "all_reduce (max) of 7 I64": for messages.
  std::string ToString() const;
};

// OK, or InvalidArgument that says which argument of which call is wrong: a
// negative size, a null buffer, a dtype that has no such reduction, a root
// outside the group, buffers that overlap other than exactly in place.
absl::Status CheckRequest(const CollectiveRequest &request, int rank,
                          int world_size);

// The same for a message between two ranks; `call`: "send" or "receive".
absl::Status CheckMessage(absl::string_view call, const void *data,
                          int64_t bytes, int peer, int rank, int world_size);

// How `numel` elements are cut over `parts` ranks: equal parts but for the last
// ones, which may be shorter or empty.
struct Cut {
  Cut(int64_t numel, int parts)
      : numel(numel), part_numel(numel / parts + (numel % parts != 0 ? 1 : 0)) {
  }
  int64_t begin(int part) const { return std::min(part * part_numel, numel); }
  int64_t size(int part) const { return begin(part + 1) - begin(part); }

  int64_t numel;
  int64_t part_numel;
};

} // namespace stowage

#endif // STOWAGE_SHARDING_COLLECTIVE_REQUEST_H_
