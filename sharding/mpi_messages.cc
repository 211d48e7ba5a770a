#include "sharding/mpi_messages.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace stowage {
namespace {

constexpr int kTag = 1; // the communicator carries nothing else

std::string During(bool is_send, int64_t bytes, int peer) {
  return absl::StrCat(is_send ? "send of " : "receive of ", bytes,
                      is_send ? " bytes to rank " : " bytes from rank ", peer);
}

} // namespace

absl::Status MpiMessages::Send(const void *data, int64_t bytes, int to,
                               const Event &event) {
  Message message;
  message.is_send = true;
  message.data =
      static_cast<char *>(const_cast<void *>(data)); // MPI only reads it
  message.peer = to;
  message.bytes = message.size_on_wire = bytes;
  message.event = event;
  bytes_sent_ += bytes;
  return Start(std::move(message));
}

absl::Status MpiMessages::Receive(void *data, int64_t bytes, int from,
                                  const Event &event) {
  Message message;
  message.data = static_cast<char *>(data);
  message.peer = from;
  message.bytes = bytes;
  message.event = event;
  return Start(std::move(message));
}

absl::Status MpiMessages::Start(Message started) {
  messages_.push_back(std::move(started));
  Message &message = messages_.back();
  absl::Status status =
      Post(message, &message.size_on_wire, sizeof(message.size_on_wire));
  if (status.ok())
    status = PostPieces(message);
  if (!status.ok())
    EndAll(status);
  return status;
}

absl::Status MpiMessages::Post(Message &message, void *data, int64_t bytes) {
  MPI_Request request;
  const int count = static_cast<int>(bytes);
  const int result = message.is_send
                         ? MPI_Isend(data, count, MPI_BYTE, message.peer, kTag,
                                     comm_, &request)
                         : MPI_Irecv(data, count, MPI_BYTE, message.peer, kTag,
                                     comm_, &request);
  STOWAGE_RETURN_IF_ERROR(
      MpiStatus(result, message.is_send ? "MPI_Isend" : "MPI_Irecv", rank_,
                During(message.is_send, message.bytes, message.peer)));
  message.requests.push_back(request);
  return absl::OkStatus();
}

absl::Status MpiMessages::PostPieces(Message &message) {
  for (int64_t low = 0; low < message.bytes; low += piece_bytes_) {
    STOWAGE_RETURN_IF_ERROR(Post(message, message.data + low,
                                 std::min(piece_bytes_, message.bytes - low)));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> MpiMessages::IsThrough(Message &message) {
  const std::string during =
      During(message.is_send, message.bytes, message.peer);
  // The size comes first: with another one than expected the pieces fit
  // nothing.
  int done = 0;
  if (!message.is_send) {
    STOWAGE_RETURN_IF_ERROR(
        MpiStatus(MPI_Test(&message.requests[0], &done, MPI_STATUS_IGNORE),
                  "MPI_Test", rank_, during));
    if (!done)
      return false;
    if (message.size_on_wire != message.bytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("ranks disagree on a size: rank ", rank_, " calls ",
                       during, ", which sent ", message.size_on_wire));
    }
  }
  const int result =
      MPI_Testall(static_cast<int>(message.requests.size()),
                  message.requests.data(), &done, MPI_STATUSES_IGNORE);
  STOWAGE_RETURN_IF_ERROR(MpiStatus(result, "MPI_Testall", rank_, during));
  return done != 0;
}

absl::Status MpiMessages::Poll() {
  for (auto it = messages_.begin(); it != messages_.end();) {
    const absl::StatusOr<bool> through = IsThrough(*it);
    if (!through.ok()) {
      EndAll(through.status());
      return through.status();
    }
    if (*through) {
      it->event.Finish(absl::OkStatus());
      it = messages_.erase(it);
    } else {
      ++it;
    }
  }
  return absl::OkStatus();
}

void MpiMessages::EndAll(const absl::Status &status) {
  for (Message &message : messages_)
    message.event.Finish(status);
  // MPI may still write to what it was given: the records stay, for ever; only
  // Abort may follow an error.
  static_cast<void>(new std::list<Message>(std::move(messages_)));
  messages_.clear();
}

} // namespace stowage
