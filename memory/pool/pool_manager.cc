#include "memory/pool/pool_manager.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace stowage {
namespace {

absl::Status CheckName(const std::string& name) {
  if (name == "cpu" || (absl::StartsWith(name, "cpu:") && name.size() > 4)) return absl::OkStatus();
  if (absl::StartsWith(name, "cuda")) {
    return absl::UnimplementedError(
        absl::StrCat("pool ", name, ": there are pools of host memory only; ask for cpu, or for cpu:NAME"));
  }
  return absl::InvalidArgumentError(absl::StrCat("pool \"", name, "\": pools are called cpu or cpu:NAME"));
}

}  // namespace

PoolManager::PoolManager(Pool* cpu, const PoolOptions& options) : options_(options) {
  if (cpu != nullptr) pools_["cpu"] = cpu;
}

absl::StatusOr<Pool*> PoolManager::Get(const std::string& name) {
  STOWAGE_RETURN_IF_ERROR(CheckName(name));
  const std::lock_guard<std::mutex> lock(mu_);
  const auto there = pools_.find(name);
  if (there != pools_.end()) return there->second;
  STOWAGE_ASSIGN_OR_RETURN(std::unique_ptr<Pool> pool, Pool::Create(options_));
  pools_[name] = pool.get();
  return (made_[name] = std::move(pool)).get();
}

absl::Status PoolManager::SetMostIdle(const std::string& name, int64_t bytes) {
  if (bytes < 0) {
    return absl::InvalidArgumentError(absl::StrCat("pool ", name, ": at most ", bytes, " idle bytes; 0 or more"));
  }
  STOWAGE_ASSIGN_OR_RETURN(Pool* const pool, Get(name));
  pool->SetMostIdle(bytes);
  return absl::OkStatus();
}

absl::StatusOr<int64_t> PoolManager::MostIdle(const std::string& name) {
  STOWAGE_ASSIGN_OR_RETURN(Pool* const pool, Get(name));
  return pool->most_idle();
}

std::map<std::string, PoolStatistics> PoolManager::Statistics() const {
  const std::lock_guard<std::mutex> lock(mu_);
  std::map<std::string, PoolStatistics> out;
  for (const auto& [name, pool] : pools_) out[name] = pool->Statistics();
  return out;
}

std::string PoolManager::Report() const {
  const std::map<std::string, PoolStatistics> pools = Statistics();
  PoolStatistics all;
  std::string lines;
  for (const auto& [name, pool] : pools) {
    all.allocations += pool.allocations;
    all.hits += pool.hits;
    absl::StrAppendFormat(&lines, "\n%s: hit rate %.1f %%, %.1f MB now, %.1f MB at its peak", name,
                          100.0 * pool.hit_rate(), static_cast<double>(pool.resident) / 1e6,
                          static_cast<double>(pool.peak_resident) / 1e6);
  }
  return absl::StrFormat("hit rate %.1f %% over %d %s, %d %s%s", 100.0 * all.hit_rate(), pools.size(),
                         pools.size() == 1 ? "pool" : "pools", all.allocations,
                         all.allocations == 1 ? "allocation" : "allocations", lines);
}

}  // namespace stowage
