#include "sharding/shared_memory/shared_messages.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace stowage {

SharedMessages::SharedMessages(SharedGroup& group)
    : group_(group), sends_(group.world_size()), receives_(group.world_size()) {}

SharedMessages::~SharedMessages() {
  {
    std::lock_guard<std::mutex> lock(mu_);
    if (failure_.ok()) failure_ = absl::CancelledError("the communicator was destroyed");
    EndAll(failure_);
  }
  group_.Ring(group_.rank());
  lane_.reset();
}

Event SharedMessages::Send(const void* data, int64_t bytes, int to) {
  bytes_sent_ += bytes;
  return Add(sends_, to, const_cast<void*>(data), bytes);
}

Event SharedMessages::Receive(void* data, int64_t bytes, int from) { return Add(receives_, from, data, bytes); }

Event SharedMessages::Add(std::vector<Queue>& queues, int peer, void* data, int64_t bytes) {
  const Event event = Event::Pending();
  {
    std::lock_guard<std::mutex> lock(mu_);
    if (!failure_.ok()) return Event::Done(failure_);
    queues[peer].push_back({static_cast<char*>(data), bytes, 0, event});
    if (!attending_) {
      attending_ = true;
      if (!lane_.has_value()) lane_.emplace("messages");
      lane_->Submit([this] {
        Attend();
        return absl::OkStatus();
      });
    }
  }
  group_.Ring(group_.rank());
  return event;
}

void SharedMessages::Attend() {
  while (true) {
    const uint32_t seen = group_.rings();
    {
      std::lock_guard<std::mutex> lock(mu_);
      const bool moved = MoveOn();
      if (!moved && failure_.ok() && !Idle()) failure_ = group_.Health();
      // What came in before its sender left, or died, is still a message.
      if (!failure_.ok() && !MoveOn()) EndAll(failure_);
      if (Idle()) {
        attending_ = false;
        return;
      }
      if (moved) continue;
    }
    group_.AwaitRing(seen);
  }
}

bool SharedMessages::MoveOn() {
  bool any = false;
  for (int peer = 0; peer < group_.world_size(); ++peer) {
    while (!sends_[peer].empty() && PutPiece(peer, sends_[peer].front())) {
      any = true;
      Message& message = sends_[peer].front();
      if (message.moved < message.bytes) continue;
      message.event.Finish(absl::OkStatus());
      sends_[peer].pop_front();
    }
    while (!receives_[peer].empty() && TakePiece(peer, receives_[peer].front())) {
      any = true;
      Message& message = receives_[peer].front();
      if (message.moved < message.bytes) continue;
      message.event.Finish(absl::OkStatus());
      receives_[peer].pop_front();
    }
  }
  return any;
}

bool SharedMessages::PutPiece(int to, Message& message) {
  Channel& channel = group_.channel(group_.rank(), to);
  const uint32_t filled = channel.filled.load(std::memory_order_relaxed);
  if (filled != channel.taken.load(std::memory_order_acquire)) return false;
  const int64_t piece = std::min(message.bytes - message.moved, Channel::kPieceBytes);
  channel.message_bytes = message.bytes;
  if (piece > 0) std::memcpy(channel.data, message.data + message.moved, piece);
  message.moved += piece;
  channel.filled.store(filled + 1, std::memory_order_release);
  group_.Ring(to);
  return true;
}

bool SharedMessages::TakePiece(int from, Message& message) {
  Channel& channel = group_.channel(from, group_.rank());
  const uint32_t taken = channel.taken.load(std::memory_order_relaxed);
  if (taken == channel.filled.load(std::memory_order_acquire)) return false;
  if (channel.message_bytes != message.bytes) {
    if (failure_.ok()) {
      failure_ = absl::InvalidArgumentError(absl::StrCat("ranks disagree on a size: rank ", group_.rank(),
                                                         " calls receive of ", message.bytes, " bytes from rank ", from,
                                                         ", which sent ", channel.message_bytes));
      group_.End(failure_);
    }
    return false;
  }
  const int64_t piece = std::min(message.bytes - message.moved, Channel::kPieceBytes);
  if (piece > 0) std::memcpy(message.data + message.moved, channel.data, piece);
  message.moved += piece;
  channel.taken.store(taken + 1, std::memory_order_release);
  group_.Ring(from);
  return true;
}

bool SharedMessages::Idle() const {
  const auto empty = [](const Queue& queue) { return queue.empty(); };
  return std::all_of(sends_.begin(), sends_.end(), empty) && std::all_of(receives_.begin(), receives_.end(), empty);
}

void SharedMessages::EndAll(const absl::Status& status) {
  for (std::vector<Queue>* queues : {&sends_, &receives_}) {
    for (Queue& queue : *queues) {
      for (const Message& message : queue) message.event.Finish(status);
      queue.clear();
    }
  }
}

}  // namespace stowage
