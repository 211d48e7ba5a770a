#include "sharding/shared_memory/forked_ranks.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <string>

#include "absl/strings/string_view.h"
#include "base/check.h"

namespace stowage {
namespace {

constexpr int kMostRanks = 8;
constexpr int kTextBytes = 4096;

struct MeetingPlace {
  std::atomic<int> arrivals;
  char texts[kMostRanks][kTextBytes];
};

// Only meets.
class Meeting : public Communicator {
 public:
  Meeting(MeetingPlace& place, int rank, int world_size) : place_(place) {
    placement_.rank = placement_.local_rank = rank;
    placement_.world_size = placement_.local_size = world_size;
    placement_.host = "forked";
  }
  absl::string_view name() const override { return "forked"; }
  const Placement& placement() const override { return placement_; }
  Event Send(const void*, int64_t, int) override { return Refused(); }
  Event Receive(void*, int64_t, int) override { return Refused(); }
  absl::StatusOr<std::vector<std::string>> ExchangeText(absl::string_view mine) override {
    STOWAGE_CHECK(mine.size() < kTextBytes) << mine.size();
    std::memcpy(place_.texts[rank()], mine.data(), mine.size());
    place_.texts[rank()][mine.size()] = '\0';
    Meet();
    std::vector<std::string> texts;
    for (int rank = 0; rank < world_size(); ++rank) texts.emplace_back(place_.texts[rank]);
    Meet();
    return texts;
  }
  absl::Status Barrier() override { return absl::UnimplementedError("only meets"); }
  void Abort(const absl::Status&) override {}
  int64_t bytes_sent() const override { return 0; }

 protected:
  Event Submit(const CollectiveRequest&) override { return Refused(); }

 private:
  static Event Refused() { return Event::Done(absl::UnimplementedError("only meets")); }
  void Meet() {
    rounds_ += 1;
    place_.arrivals.fetch_add(1);
    while (place_.arrivals.load() < rounds_ * world_size()) sched_yield();
  }

  MeetingPlace& place_;
  Placement placement_;
  int rounds_ = 0;
};

}  // namespace

ForkedRanks::ForkedRanks(int world_size, const std::function<int(Communicator& meeting)>& body) {
  STOWAGE_CHECK(world_size <= kMostRanks) << world_size;
  meeting_place_ = mmap(nullptr, sizeof(MeetingPlace), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  STOWAGE_CHECK(meeting_place_ != MAP_FAILED) << "mmap";
  for (int rank = 0; rank < world_size; ++rank) {
    const pid_t pid = fork();
    STOWAGE_CHECK(pid >= 0) << "fork";
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      alarm(100);  // a rank that hangs is an end by SIGALRM
      Meeting meeting(*static_cast<MeetingPlace*>(meeting_place_), rank, world_size);
      _exit(body(meeting));
    }
    pids_.push_back(pid);
  }
}

std::vector<int> ForkedRanks::Wait() {
  std::vector<int> codes;
  for (const pid_t pid : pids_) {
    int status = 0;
    waitpid(pid, &status, 0);
    codes.push_back(WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status));
  }
  return codes;
}

ForkedRanks::~ForkedRanks() { munmap(meeting_place_, sizeof(MeetingPlace)); }

}  // namespace stowage
