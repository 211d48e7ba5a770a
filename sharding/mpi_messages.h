// Messages between pairs of ranks that are under way while the lane does other
// things.
//
// A message is its size and then its bytes, cut into pieces, on a communicator
// of its own: MPI keeps their order between two ranks, so the n-th send meets
// the n-th receive. Pieces are posted together; MPI moves them on inside
// whatever call the lane makes, and Poll sees which messages are through.
//
// Only on the thread that calls MPI.
#ifndef STOWAGE_SHARDING_MPI_MESSAGES_H_
#define STOWAGE_SHARDING_MPI_MESSAGES_H_

#include <atomic>
#include <cstdint>
#include <list>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sharding/event.h"
#include "sharding/mpi_status.h"

namespace stowage {

class MpiMessages {
public:
  MpiMessages(MPI_Comm comm, int rank, int64_t piece_bytes)
      : comm_(comm), rank_(rank), piece_bytes_(piece_bytes) {}

  // Starts one; `event`, which is pending, ends when the buffer may be used
  // again. An error is the event's too.
  absl::Status Send(const void *data, int64_t bytes, int to,
                    const Event &event);
  absl::Status Receive(void *data, int64_t bytes, int from, const Event &event);

  // Ends the events of messages that are through. An error (MPI's, or a peer
  // that sent another size: InvalidArgument) ends all.
  absl::Status Poll();
  // Ends all events that are left.
  void EndAll(const absl::Status &status);

  bool idle() const { return messages_.empty(); }
  int64_t bytes_sent() const { return bytes_sent_; } // any thread

private:
  struct Message {
    bool is_send = false;
    int peer = 0;
    int64_t bytes = 0;
    int64_t size_on_wire = 0; // what is sent, or what came
    char *data = nullptr;
    std::vector<MPI_Request> requests; // the size's first
    Event event;
  };

  // Makes the record (its address stays: MPI writes to it) and posts the size's
  // message.
  absl::Status Start(Message message);
  absl::Status Post(Message &message, void *data, int64_t bytes);
  absl::Status PostPieces(Message &message);
  absl::StatusOr<bool> IsThrough(Message &message);

  const MPI_Comm comm_;
  const int rank_;
  const int64_t piece_bytes_;
  std::list<Message> messages_;
  std::atomic<int64_t> bytes_sent_{0};
};

} // namespace stowage

#endif // STOWAGE_SHARDING_MPI_MESSAGES_H_
