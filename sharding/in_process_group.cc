#include "sharding/in_process_group.h"

#include <utility>

#include "base/check.h"
#include "sharding/in_process_communicator.h"

namespace stowage {

std::vector<std::unique_ptr<Communicator>> InProcessGroup::Create(int world_size) {
  STOWAGE_CHECK(world_size >= 1) << "world_size " << world_size;
  // Shared: the communicators end in any order, on threads of their own.
  auto group = std::make_shared<InProcessGroup>(world_size);
  std::vector<std::unique_ptr<Communicator>> communicators;
  for (int rank = 0; rank < world_size; ++rank) {
    communicators.push_back(std::make_unique<InProcessCommunicator>(group, rank));
  }
  return communicators;
}

InProcessGroup::InProcessGroup(int world_size) : posted_(world_size) {}

absl::Status InProcessGroup::Arrive(int rank, Posted posted) {
  std::unique_lock<std::mutex> lock(mu_);
  if (aborted_) return absl::AbortedError(message_);
  posted_[rank] = std::move(posted);
  const int64_t generation = arrival_.generation;
  if (++arrival_.waiting == world_size()) {
    arrival_ = {0, generation + 1};
    changed_.notify_all();
    return absl::OkStatus();
  }
  changed_.wait(lock, [&] { return aborted_ || arrival_.generation != generation; });
  if (arrival_.generation != generation) return absl::OkStatus();  // an abort after that came too late for this one
  return absl::AbortedError(message_);
}

void InProcessGroup::Synchronize() {
  std::unique_lock<std::mutex> lock(mu_);
  const int64_t generation = synchronisation_.generation;
  if (++synchronisation_.waiting == world_size()) {
    synchronisation_ = {0, generation + 1};
    changed_.notify_all();
    return;
  }
  changed_.wait(lock, [&] { return synchronisation_.generation != generation; });
}

void InProcessGroup::Abort(const std::string& message) {
  {
    std::lock_guard<std::mutex> lock(mu_);
    if (aborted_) return;
    aborted_ = true;
    message_ = message;
  }
  changed_.notify_all();
}

}  // namespace stowage
