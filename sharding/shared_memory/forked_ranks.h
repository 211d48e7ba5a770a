// Runs one function as every rank of a group of processes, and lets them meet without a launcher. For tests only.
#ifndef STOWAGE_SHARDING_SHARED_MEMORY_FORKED_RANKS_H_
#define STOWAGE_SHARDING_SHARED_MEMORY_FORKED_RANKS_H_

#include <sys/types.h>

#include <functional>
#include <vector>

#include "sharding/communicator.h"

namespace stowage {

class ForkedRanks {
 public:
  // Forks `world_size` children; child r plays `body` as rank r of a communicator that can do nothing but ExchangeText
  // (of short texts), and exits with what it returns. This process should have one thread.
  ForkedRanks(int world_size, const std::function<int(Communicator& meeting)>& body);
  ~ForkedRanks();
  ForkedRanks(const ForkedRanks&) = delete;
  ForkedRanks& operator=(const ForkedRanks&) = delete;

  pid_t pid(int rank) const { return pids_[rank]; }
  // Exit codes by rank, -N for an end by signal N. Call once.
  std::vector<int> Wait();

 private:
  std::vector<pid_t> pids_;
  void* meeting_place_;
};

}  // namespace stowage

#endif  // STOWAGE_SHARDING_SHARED_MEMORY_FORKED_RANKS_H_
