#include "sharding/peer_watch.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "sharding/solo_communicator.h"

namespace stowage {
namespace {

// A process that waits to be ended.
pid_t Start() {
  const pid_t pid = fork();
  if (pid == 0) {
    while (true) pause();
  }
  return pid;
}

void Kill(pid_t pid) { EXPECT_EQ(kill(pid, SIGKILL), 0); }
void Collect(pid_t pid) { EXPECT_EQ(waitpid(pid, nullptr, 0), pid); }

class PeerWatchTest : public testing::Test {
 protected:
  void TearDown() override {
    for (const PeerProcess& peer : peers_) {
      if (kill(peer.pid, SIGKILL) == 0) waitpid(peer.pid, nullptr, 0);
    }
  }
  std::vector<PeerProcess> peers_ = {{0, Start(), "here"}, {2, Start(), "here"}};
};

TEST_F(PeerWatchTest, ThePeerThatDiedIsNamedAndTheLowestThatLivesToo) {
  const PeerWatch watch(peers_, false);
  EXPECT_TRUE(watch.Health().ok());
  EXPECT_FALSE(watch.DeadPeer().has_value());
  EXPECT_EQ(watch.LivingPeer()->rank, 0);

  Kill(peers_[1].pid);
  // Not collected by its parent, which may be asleep: it is dead all the same.
  ASSERT_TRUE(watch.WaitForEndOf(2, absl::Seconds(60)));
  EXPECT_EQ(watch.DeadPeer()->rank, 2);
  EXPECT_EQ(watch.LivingPeer()->rank, 0);
  EXPECT_EQ(watch.Health(),
            absl::UnavailableError(absl::StrCat("rank 2 (process ", peers_[1].pid, " on here) has died")));
  EXPECT_FALSE(watch.WaitForEnd(absl::ZeroDuration())) << "rank 0 lives";

  Kill(peers_[0].pid);
  ASSERT_TRUE(watch.WaitForEndOf(0, absl::Seconds(60)));
  EXPECT_FALSE(watch.LivingPeer().has_value());
  for (const PeerProcess& peer : peers_) Collect(peer.pid);
}

TEST_F(PeerWatchTest, WaitsUntilAllHaveEnded) {
  const PeerWatch watch(peers_, false);
  std::thread ends([this] {
    for (const PeerProcess& peer : peers_) {
      Kill(peer.pid);
      Collect(peer.pid);
    }
  });
  EXPECT_TRUE(watch.WaitForEnd(absl::Seconds(60)));
  ends.join();
}

TEST_F(PeerWatchTest, APeerThatHadEndedBeforeItWasWatchedIsDead) {
  Kill(peers_[0].pid);
  Collect(peers_[0].pid);
  const PeerWatch watch(peers_, false);
  EXPECT_EQ(watch.DeadPeer()->rank, 0);
}

TEST(PeerWatchMeetTest, ARankAloneHasNobodyToWatch) {
  SoloCommunicator alone;
  const absl::StatusOr<PeerWatch> watch = PeerWatch::Meet(alone);
  ASSERT_TRUE(watch.ok()) << watch.status();
  EXPECT_TRUE(watch->peers().empty());
  EXPECT_TRUE(watch->Health().ok());
  EXPECT_TRUE(watch->WaitForEnd(absl::ZeroDuration()));
}

}  // namespace
}  // namespace stowage
