#include "trainer/run/signals.h"

#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include "gtest/gtest.h"

namespace stowage {
namespace {

// A signal to the own process reaches this thread, the only one, before kill returns.
void SendSelf(int signal) { ASSERT_EQ(kill(getpid(), signal), 0); }

// `signal` to this process from another one, which has ended when this returns.
void SendFromChild(int signal) {
  const pid_t child = fork();
  if (child == 0) _exit(kill(getppid(), signal) == 0 ? 0 : 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
}

TEST(SignalWatchTest, TheFirstSignalCounts) {
  for (int signal : {SIGTERM, SIGINT, SIGUSR1}) {
    const SignalWatch watch;
    EXPECT_EQ(watch.received(), 0);
    SendSelf(signal);
    SendSelf(SIGTERM);
    EXPECT_EQ(watch.received(), signal);
  }
}

TEST(SignalWatchTest, SigcontOfTheAnnouncerIsARequestToStop) {
  const SignalWatch watch(getpid());
  SendSelf(SIGCONT);
  EXPECT_EQ(watch.received(), SIGCONT);
}

TEST(SignalWatchTest, SigcontOfAnybodyElseMeansNothing) {
  const SignalWatch watch(getpid());
  SendFromChild(SIGCONT);
  EXPECT_EQ(watch.received(), 0);
  SendFromChild(SIGUSR1);
  EXPECT_EQ(watch.received(), SIGUSR1);
}

TEST(SignalWatchTest, SigcontWithoutAnAnnouncerMeansNothing) {
  const SignalWatch watch(std::nullopt);
  SendSelf(SIGCONT);
  EXPECT_EQ(watch.received(), 0);
}

TEST(SignalWatchTest, WithoutMpirunNobodyAnnounces) {
  const SignalWatch watch;
  SendSelf(SIGCONT);
  EXPECT_EQ(watch.received(), 0);
}

TEST(SignalWatchTest, HandlersOfBeforeComeBack) {
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  struct sigaction before;
  ASSERT_EQ(sigaction(SIGUSR1, &ignore, &before), 0);
  { const SignalWatch watch; }
  SendSelf(SIGUSR1);  // ends the test unless it is ignored again
  struct sigaction now;
  ASSERT_EQ(sigaction(SIGUSR1, &before, &now), 0);
  EXPECT_EQ(now.sa_handler, SIG_IGN);
}

}  // namespace
}  // namespace stowage
