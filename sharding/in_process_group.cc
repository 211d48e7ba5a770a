#include "sharding/in_process_group.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "sharding/in_process_communicator.h"

namespace stowage {

std::vector<std::unique_ptr<Communicator>>
InProcessGroup::Create(int world_size) {
  STOWAGE_CHECK(world_size >= 1) << "world_size " << world_size;
  // Shared: the communicators end in any order, on threads of their own.
  auto group = std::make_shared<InProcessGroup>(world_size);
  std::vector<std::unique_ptr<Communicator>> communicators;
  for (int rank = 0; rank < world_size; ++rank) {
    communicators.push_back(
        std::make_unique<InProcessCommunicator>(group, rank));
  }
  return communicators;
}

InProcessGroup::InProcessGroup(int world_size) : posted_(world_size) {}

absl::Status InProcessGroup::Arrive(int rank, Posted posted) {
  std::unique_lock<std::mutex> lock(mu_);
  if (aborted_)
    return absl::AbortedError(message_);
  posted_[rank] = std::move(posted);
  const int64_t generation = arrival_.generation;
  if (++arrival_.waiting == world_size()) {
    arrival_ = {0, generation + 1};
    changed_.notify_all();
    return absl::OkStatus();
  }
  changed_.wait(lock,
                [&] { return aborted_ || arrival_.generation != generation; });
  if (arrival_.generation != generation)
    return absl::OkStatus(); // an abort after that came too late for this one
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
  changed_.wait(lock,
                [&] { return synchronisation_.generation != generation; });
}

Event InProcessGroup::Send(int from, int to, const void *data, int64_t bytes) {
  return Meet({from, to}, {data, nullptr, bytes, Event::Pending()},
              &Mailbox::sends, &Mailbox::receives);
}

Event InProcessGroup::Receive(int from, int to, void *data, int64_t bytes) {
  return Meet({from, to}, {nullptr, data, bytes, Event::Pending()},
              &Mailbox::receives, &Mailbox::sends);
}

Event InProcessGroup::Meet(Pair pair, Waiting mine,
                           std::deque<Waiting> Mailbox::*own,
                           std::deque<Waiting> Mailbox::*others) {
  Waiting other;
  {
    std::lock_guard<std::mutex> lock(mu_);
    if (aborted_)
      return Event::Done(absl::AbortedError(message_));
    Mailbox &box = mailboxes_[pair];
    if ((box.*others).empty()) {
      (box.*own).push_back(mine);
      return mine.event;
    }
    other = (box.*others).front();
    (box.*others).pop_front();
  }
  // Both buffers are ours until the events have ended, abort or not.
  absl::Status status;
  const Waiting &send = own == &Mailbox::sends ? mine : other;
  const Waiting &receive = own == &Mailbox::sends ? other : mine;
  if (send.bytes != receive.bytes) {
    status = absl::InvalidArgumentError(absl::StrCat(
        "ranks disagree on a size: rank ", pair.first, " sends ", send.bytes,
        " bytes to rank ", pair.second, ", which expects ", receive.bytes));
    Abort(std::string(status.message()));
  } else if (send.bytes > 0) {
    std::memcpy(receive.to, send.from, send.bytes);
  }
  other.event.Finish(status);
  mine.event.Finish(status);
  return mine.event;
}

void InProcessGroup::Abort(const std::string &message) {
  std::map<Pair, Mailbox> left;
  {
    std::lock_guard<std::mutex> lock(mu_);
    if (aborted_)
      return;
    aborted_ = true;
    message_ = message;
    left.swap(mailboxes_);
  }
  changed_.notify_all();
  for (const auto &[pair, box] : left) {
    for (const Waiting &one : box.sends)
      one.event.Finish(absl::AbortedError(message));
    for (const Waiting &one : box.receives)
      one.event.Finish(absl::AbortedError(message));
  }
}

} // namespace stowage
