// The buffers of an arena that are alive, to find in which of them a pointer lies.
//
// Numbers are given in the order of allocation, so they mean the same buffer on all ranks. Thread-safe.
#ifndef STOWAGE_SHARDING_SHARED_MEMORY_SHARED_REGIONS_H_
#define STOWAGE_SHARDING_SHARED_MEMORY_SHARED_REGIONS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "sharding/shared_arena.h"
#include "sharding/shared_memory/control_block.h"
#include "sharding/shared_memory/window.h"

namespace stowage {

class SharedRegions {
 public:
  // `windows`: of each rank, or one that all have in common. The buffer must not outlive this.
  std::unique_ptr<SharedBuffer> Add(int rank, int64_t bytes, std::vector<Window> windows);

  // Where `data` ([bytes]) lies; region 0 where it is in no buffer, or not wholly.
  SharedPlace Find(const void* data, int64_t bytes) const;
  // What `rank` means by `place`, a place in a buffer that is alive here.
  char* Resolve(SharedPlace place, int rank) const;
  bool IsCommon(int64_t region) const;

 private:
  class Buffer;
  void Remove(int64_t region);

  mutable std::mutex mu_;  // std: see Event
  int64_t last_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<int64_t, const Buffer*> buffers_ ABSL_GUARDED_BY(mu_);
};

}  // namespace stowage

#endif  // STOWAGE_SHARDING_SHARED_MEMORY_SHARED_REGIONS_H_
