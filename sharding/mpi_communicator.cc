#include "sharding/mpi_communicator.h"

#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/exit_code.h"
#include "base/status_macros.h"
#include "sharding/launcher_wake.h"
#include "sharding/mpi_collectives.h"
#include "sharding/mpi_messages.h"
#include "sharding/mpi_session.h"
#include "sharding/mpi_waiter.h"
#include "sharding/peer_watch.h"

namespace stowage {
namespace {

// How long Abort lets the lane come out of an MPI call before it ends the
// process by itself, which mpirun notices.
constexpr auto kAbortPatience = std::chrono::seconds(5);
// The same after a peer died: mpirun knows of that death, and sleeps until it
// kills.
constexpr auto kAbortPatienceAfterDeath = std::chrono::milliseconds(500);
// How long the rank that speaks of a death waits before it goes, for the others
// to see that it lives and who died; and how long they let it speak and go
// before they speak themselves (it may compute still).
constexpr auto kUntilSpeakerGoes = std::chrono::milliseconds(300);
constexpr absl::Duration kPatienceWithSpeaker = absl::Milliseconds(1200);

// One write, so that lines of several ranks do not mix.
void SayOnStderr(const std::string &line) {
  const ssize_t ignored = write(STDERR_FILENO, line.data(), line.size());
  static_cast<void>(ignored); // nobody is left to tell
}

} // namespace

// `waiter` is shared with whoever aborts; all the rest is the lane's.
struct MpiCommunicator::State {
  MpiWaiter waiter;
  MpiSession session;
  std::optional<MpiCollectives> collectives;
  std::optional<MpiMessages> messages;
  bool attending =
      false; // whether a job that looks after messages is queued; the lane's
  std::atomic<int> queued{0};     // jobs that the lane has not begun
  std::optional<PeerWatch> peers; // constant from Create on
  absl::Status failure; // the first error: MPI promises nothing after it, so
                        // nothing is tried

  absl::Status Play(const CollectiveRequest &request) {
    waiter.AbortIfRequested();
    if (failure.ok())
      failure = WithDeath(collectives->Play(request));
    return failure;
  }

  // A death shows as an error of MPI too, in words that do not name it.
  absl::Status WithDeath(absl::Status status) const {
    if (!absl::IsUnavailable(status) || !peers.has_value())
      return status;
    absl::Status health = peers->Health();
    return health.ok() ? status : health;
  }
};

absl::StatusOr<std::unique_ptr<MpiCommunicator>>
MpiCommunicator::Create(int64_t piece_bytes) {
  std::unique_ptr<MpiCommunicator> result(new MpiCommunicator());
  State &state = *result->state_;
  const Event begun =
      result->lane_->Submit([&state, piece_bytes]() -> absl::Status {
        absl::StatusOr<MpiSession> session = BeginMpi();
        state.failure = session.status();
        if (!session.ok())
          return session.status();
        state.session = *std::move(session);
        state.messages.emplace(state.session.messages,
                               state.session.placement.rank, piece_bytes);
        state.collectives.emplace(
            state.session.comm, state.session.placement.rank,
            state.session.placement.world_size, piece_bytes, state.waiter);
        return absl::OkStatus();
      });
  STOWAGE_RETURN_IF_ERROR(begun.Wait());
  result->placement_ = state.session.placement;
  STOWAGE_ASSIGN_OR_RETURN(PeerWatch peers, PeerWatch::Meet(*result));
  state.peers.emplace(std::move(peers));
  state.waiter.Watch(&*state.peers); // the lane is idle, and sees this with the
                                     // next call that is queued
  return result;
}

MpiCommunicator::MpiCommunicator()
    : state_(std::make_unique<State>()), lane_(std::make_unique<Lane>("mpi")) {}

MpiCommunicator::~MpiCommunicator() {
  Queue([this]() -> absl::Status {
    // Nobody may destroy a communicator whose messages he waits for.
    if (state_->messages.has_value() && !state_->messages->idle()) {
      state_->messages->EndAll(
          absl::CancelledError("the communicator was destroyed"));
    }
    // MPI_Finalize waits for the peers without looking after them; so they meet
    // before it.
    if (state_->failure.ok() && state_->collectives.has_value()) {
      state_->failure = state_->Play({CollectiveKind::kBarrier});
    }
    if (state_->failure.ok())
      state_->failure = EndMpi(state_->session);
    if (!state_->failure.ok() && state_->collectives.has_value()) {
      SayOnStderr(
          absl::StrCat("stowage: rank ", placement_.rank,
                       ": MPI is left as it is, without MPI_Finalize, after: ",
                       state_->failure.message(), "\n"));
    }
    return state_->failure;
  });
  lane_.reset();
}

absl::Status MpiCommunicator::Barrier() {
  return Submit({CollectiveKind::kBarrier}).Wait();
}

Event MpiCommunicator::Submit(const CollectiveRequest &request) {
  absl::Status status = CheckRequest(request, rank(), world_size());
  if (!status.ok())
    return Event::Done(std::move(status));
  return Queue([this, request] { return state_->Play(request); });
}

Event MpiCommunicator::Send(const void *data, int64_t bytes, int to) {
  absl::Status status =
      CheckMessage("send", data, bytes, to, rank(), world_size());
  if (!status.ok())
    return Event::Done(std::move(status));
  return QueueMessage(/*is_send=*/true, const_cast<void *>(data), bytes, to);
}

Event MpiCommunicator::Receive(void *data, int64_t bytes, int from) {
  absl::Status status =
      CheckMessage("receive", data, bytes, from, rank(), world_size());
  if (!status.ok())
    return Event::Done(std::move(status));
  return QueueMessage(/*is_send=*/false, data, bytes, from);
}

Event MpiCommunicator::QueueMessage(bool is_send, void *data, int64_t bytes,
                                    int peer) {
  const Event event = Event::Pending();
  Queue([this, is_send, data, bytes, peer, event] {
    state_->waiter.AbortIfRequested();
    if (!state_->failure.ok()) {
      event.Finish(state_->failure);
    } else {
      MpiMessages &messages = *state_->messages;
      state_->failure = state_->WithDeath(
          is_send ? messages.Send(data, bytes, peer, event)
                  : messages.Receive(data, bytes, peer, event));
    }
    return state_->failure;
  });
  return event;
}

Event MpiCommunicator::Queue(std::function<absl::Status()> work) {
  ++state_->queued;
  return lane_->Submit([this, work = std::move(work)] {
    --state_->queued;
    absl::Status status = work();
    // A job of its own: this one's event is not to wait for messages.
    if (state_->messages.has_value() && !state_->messages->idle() &&
        !state_->attending) {
      state_->attending = true;
      lane_->Submit([this] {
        AttendMessages();
        return absl::OkStatus();
      });
    }
    return status;
  });
}

// Until all messages are through, or there is other work: then again after
// that.
void MpiCommunicator::AttendMessages() {
  State &state = *state_;
  state.attending = false;
  if (!state.failure.ok())
    return state.messages->EndAll(state.failure);
  state.failure =
      state.WithDeath(state.waiter.WaitUntil([&]() -> absl::StatusOr<bool> {
        STOWAGE_RETURN_IF_ERROR(state.messages->Poll());
        return state.messages->idle() || state.queued > 0;
      }));
  if (!state.failure.ok())
    state.messages->EndAll(state.failure);
}

absl::StatusOr<std::vector<std::string>>
MpiCommunicator::ExchangeText(absl::string_view mine) {
  std::vector<std::string> texts;
  const Event event = Queue([this, mine, &texts]() -> absl::Status {
    state_->waiter.AbortIfRequested();
    if (!state_->failure.ok())
      return state_->failure;
    absl::StatusOr<std::vector<std::string>> all =
        state_->collectives->ExchangeText(mine);
    state_->failure = state_->WithDeath(all.status());
    if (all.ok())
      texts = *std::move(all);
    return state_->failure;
  });
  STOWAGE_RETURN_IF_ERROR(event.Wait());
  return texts;
}

// One rank of a host is enough: the lowest that lives. It may be busy
// elsewhere; then the others speak.
bool MpiCommunicator::MaySpeakOfDeath() const {
  const std::optional<PeerProcess> speaker = state_->peers->LivingPeer();
  return !speaker.has_value() || speaker->rank > rank() ||
         !state_->peers->WaitForEndOf(speaker->rank, kPatienceWithSpeaker);
}

void MpiCommunicator::Abort(const absl::Status &cause) {
  const bool after_death =
      state_->peers.has_value() && state_->peers->DeadPeer().has_value();
  const bool speaks = !after_death || MaySpeakOfDeath();
  if (speaks) {
    SayOnStderr(
        absl::StrCat("stowage: rank ", rank(), ": ", cause.message(), "\n"));
    WakeLauncherAfterEnd(state_->peers.has_value()
                             ? state_->peers->peers()
                             : std::vector<PeerProcess>());
    if (after_death)
      std::this_thread::sleep_for(kUntilSpeakerGoes);
  }
  // All ranks are on this host, and see what we see: MPI_Abort would only add
  // its own words.
  if (after_death && !state_->peers->others_elsewhere())
    _exit(kExitFailure);
  state_->waiter.RequestAbort();
  Queue([this] {
    state_->waiter.AbortIfRequested();
    return absl::OkStatus();
  });
  if (after_death) {
    std::this_thread::sleep_for(kAbortPatienceAfterDeath);
  } else {
    std::this_thread::sleep_for(kAbortPatience);
  }
  _exit(kExitFailure);
}

int64_t MpiCommunicator::bytes_sent() const {
  return state_->collectives->bytes_sent() + state_->messages->bytes_sent();
}

std::string MpiLibraryVersion() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  if (MPI_Get_library_version(text, &length) != MPI_SUCCESS)
    return "MPI (version unknown)";
  // Up to the first zero byte: Open MPI counts that one too.
  const std::string version(text);
  return version.substr(0, version.find('\n'));
}

} // namespace stowage
