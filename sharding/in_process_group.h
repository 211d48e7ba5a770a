// The meeting place of ranks that are threads of one process.
//
// One collective: every rank's lane brings its request to Arrive; once all are
// there, each reads its peers' buffers directly; Synchronize keeps the buffers
// in use until the last has read. Arrive is the only place where an abort is
// seen: either all ranks go through it, or none, so nobody's buffer is read
// after its event has ended.
//
// Thread-safe; Arrive and Synchronize are called by one lane per rank.
#ifndef STOWAGE_SHARDING_IN_PROCESS_GROUP_H_
#define STOWAGE_SHARDING_IN_PROCESS_GROUP_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "sharding/collective_request.h"
#include "sharding/communicator.h"

namespace stowage {

class InProcessGroup {
public:
  // Communicators of ranks 0 to world_size - 1, world_size >= 1; give each to
  // one thread. They may be destroyed in any order; see InProcessCommunicator
  // for what destroying one means to the others.
  static std::vector<std::unique_ptr<Communicator>> Create(int world_size);

  explicit InProcessGroup(int world_size);

  // What a rank brings: the request, and its text where the request is
  // kExchangeText.
  struct Posted {
    CollectiveRequest request;
    std::string text;
  };

  // Blocks until all ranks have arrived. kAborted: the group was aborted before
  // the last one came.
  absl::Status Arrive(int rank, Posted posted);
  // What `rank` brought. Valid between Arrive and the last Synchronize of the
  // collective.
  const Posted &posted(int rank) const { return posted_[rank]; }
  // Blocks until all ranks have called it. Cannot fail: whoever arrived only
  // computes from there on.
  void Synchronize();

  // One side of a message from `from` to `to`: whichever comes second copies
  // it, and both events end. kAborted, or InvalidArgument on both sides where
  // the sizes differ. Returns at once.
  Event Send(int from, int to, const void *data, int64_t bytes);
  Event Receive(int from, int to, void *data, int64_t bytes);

  // Ends every Arrive that waits, every message without its other side, and all
  // later ones with kAborted and the message of the first call.
  void Abort(const std::string &message);

  int world_size() const { return static_cast<int>(posted_.size()); }

private:
  // A barrier is a count and the number of times that it has filled.
  struct Gate {
    int waiting = 0;
    int64_t generation = 0;
  };

  // One side that waits for the other.
  struct Waiting {
    const void *from = nullptr;
    void *to = nullptr;
    int64_t bytes = 0;
    Event event;
  };
  struct Mailbox {
    std::deque<Waiting> sends;
    std::deque<Waiting> receives;
  };
  using Pair = std::pair<int, int>; // from, to

  Event Meet(Pair pair, Waiting mine, std::deque<Waiting> Mailbox::*own,
             std::deque<Waiting> Mailbox::*others);

  std::mutex mu_; // std: see Event
  std::condition_variable changed_;
  Gate arrival_ ABSL_GUARDED_BY(mu_);
  Gate synchronisation_ ABSL_GUARDED_BY(mu_);
  bool aborted_ ABSL_GUARDED_BY(mu_) = false;
  std::string message_ ABSL_GUARDED_BY(mu_);
  std::map<Pair, Mailbox> mailboxes_ ABSL_GUARDED_BY(mu_);
  std::vector<Posted> posted_; // written under mu_ in Arrive; between the gates
                               // read by all, written by none
};

} // namespace stowage

#endif // STOWAGE_SHARDING_IN_PROCESS_GROUP_H_
