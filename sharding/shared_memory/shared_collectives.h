// The collectives between ranks that share memory.
//
// Every rank posts its call, all meet, and then either read each other's shared buffers directly, or move their parts
// through the two slots of their windows, piece by piece: while peers read one slot, the other is written. One meeting
// a piece is enough: whoever has come to piece k has read piece k - 1, so slot k + 1 (that of k - 1) is free. The last
// meeting keeps buffers, and the posted call, in use until all have read.
//
// By one thread. Collective.
#ifndef STOWAGE_SHARDING_SHARED_MEMORY_SHARED_COLLECTIVES_H_
#define STOWAGE_SHARDING_SHARED_MEMORY_SHARED_COLLECTIVES_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "sharding/collective_request.h"
#include "sharding/shared_memory/shared_group.h"
#include "sharding/shared_memory/shared_regions.h"

namespace stowage {

class SharedCollectives {
 public:
  // Borrows both.
  SharedCollectives(SharedGroup& group, const SharedRegions& regions) : group_(group), regions_(regions) {}

  absl::Status Play(const CollectiveRequest& request);
  absl::StatusOr<std::vector<std::string>> ExchangeText(absl::string_view mine);

  int64_t bytes_sent() const { return bytes_sent_; }  // any thread

 private:
  // One rank's part of a buffer, in bytes.
  struct Part {
    int64_t begin = 0;
    int64_t bytes = 0;
  };
  using Parts = std::vector<Part>;
  Parts PartsOf(const CollectiveRequest& request) const;

  // Posts, meets, and compares what all posted.
  absl::Status Begin(const CollectiveRequest& request, int64_t text_bytes);
  // Whether all ranks' `in` lie in shared buffers of their own / all ranks' `out` are the same place of a common one.
  bool InIsShared() const;
  bool OutIsCommon() const;
  absl::Status Move(const CollectiveRequest& request);

  absl::Status ReduceScatter(const CollectiveRequest& request, const Parts& parts, char* out);
  absl::Status AllGather(const CollectiveRequest& request, const Parts& parts, const char* mine, char* whole);
  absl::Status AllToAll(const CollectiveRequest& request, const Parts& parts);
  absl::Status Broadcast(const CollectiveRequest& request);

  // Sums this rank's part of all ranks' shared `in`.
  void ReduceShared(const CollectiveRequest& request, Part part, char* out) const;
  // Copies the peers' parts, part r of rank r's shared `in` (a whole buffer).
  void CopyPeersParts(const Parts& parts, char* whole) const;
  // Every rank's piece of each part passes through the slots: `take(low, bytes, from)`, `from` by rank: where the
  // ranks' pieces for this rank lie; null for this rank's own.
  using Take = std::function<void(int64_t low, int64_t bytes, const std::vector<const char*>& from)>;
  absl::Status PassParts(const CollectiveRequest& request, const Parts& parts, const char* whole, const Take& take);

  SharedGroup& group_;
  const SharedRegions& regions_;
  std::string during_;
  std::atomic<int64_t> bytes_sent_{0};
};

}  // namespace stowage

#endif  // STOWAGE_SHARDING_SHARED_MEMORY_SHARED_COLLECTIVES_H_
