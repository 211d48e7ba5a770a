// Pools by name: "cpu", and "cpu:NAME" for more of them. Blocks of different pools never mix.
//
//   PoolManager pools(InstalledPool());                   // "cpu" is the one under LibTorch's tensors
//   STOWAGE_ASSIGN_OR_RETURN(Pool * staging, pools.Get("cpu:staging"));
//   pools.SetMostIdle("cpu:staging", 64 << 20);
//   std::puts(pools.Report().c_str());
//
// A name with a device in it ("cuda:0") is Unimplemented: this program has pools of host memory only. Any other name is
// InvalidArgument. Thread-safe.
#ifndef STOWAGE_MEMORY_POOL_POOL_MANAGER_H_
#define STOWAGE_MEMORY_POOL_POOL_MANAGER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "memory/pool/pool.h"

namespace stowage {

class PoolManager {
 public:
  // `cpu`, if given, is borrowed and must outlive this; otherwise "cpu" is made like the others. Pools are made with
  // `options`.
  explicit PoolManager(Pool* cpu = nullptr, const PoolOptions& options = PoolOptions());
  // No block of the pools made here may be live.
  ~PoolManager() = default;

  // Made at the first call of the name; owned by this. ResourceExhausted: no address space.
  absl::StatusOr<Pool*> Get(const std::string& name);

  // Pool::SetMostIdle and most_idle of the pool of that name. InvalidArgument: bytes < 0.
  absl::Status SetMostIdle(const std::string& name, int64_t bytes);
  absl::StatusOr<int64_t> MostIdle(const std::string& name);

  // Of the pools that were asked for, by name.
  std::map<std::string, PoolStatistics> Statistics() const;
  // For people: hit rate over all pools, how many there are and what they served; then a line for each pool with its
  // hit rate, and MB (10^6 bytes) now and at its peak.
  std::string Report() const;

 private:
  const PoolOptions options_;
  mutable std::mutex mu_;  // std: the thread sanitizer does not see the locks of a shared abseil
  std::map<std::string, std::unique_ptr<Pool>> made_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Pool*> pools_ ABSL_GUARDED_BY(mu_);
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_POOL_POOL_MANAGER_H_
