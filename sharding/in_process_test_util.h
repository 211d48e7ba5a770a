// Runs one function as every rank of an in-process group, each on a thread of its own.
#ifndef STOWAGE_SHARDING_IN_PROCESS_TEST_UTIL_H_
#define STOWAGE_SHARDING_IN_PROCESS_TEST_UTIL_H_

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "sharding/communicator.h"
#include "sharding/in_process_group.h"

namespace stowage {

// Returns when all ranks have. Communicators outlive all of the threads.
inline void RunRanks(int world_size, const std::function<void(Communicator&)>& body) {
  std::vector<std::unique_ptr<Communicator>> communicators = InProcessGroup::Create(world_size);
  std::vector<std::thread> threads;
  for (auto& communicator : communicators) threads.emplace_back([&body, &communicator] { body(*communicator); });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace stowage

#endif  // STOWAGE_SHARDING_IN_PROCESS_TEST_UTIL_H_
