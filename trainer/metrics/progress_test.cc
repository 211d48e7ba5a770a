#include "trainer/metrics/progress.h"

#include <fcntl.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trainer/metrics/test_folder.h"

namespace stowage {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

StepMetrics At(int64_t step) {
  StepMetrics metrics;
  metrics.step = step;
  metrics.loss = 2.4312;
  metrics.seconds = 0.5;
  metrics.tokens_per_second = 8912.4;
  metrics.rss_peak_bytes = 812 << 20;
  return metrics;
}

// A pseudo-terminal of a width; what was written to it since the last call.
class Terminal {
 public:
  explicit Terminal(int columns) {
    winsize size{};
    size.ws_col = static_cast<unsigned short>(columns);
    EXPECT_EQ(openpty(&reader_, &fd_, nullptr, nullptr, &size), 0);
    EXPECT_EQ(fcntl(reader_, F_SETFL, O_NONBLOCK), 0);
  }
  ~Terminal() {
    close(fd_);
    close(reader_);
  }
  int fd() const { return fd_; }
  void Resize(int columns) {
    winsize size{};
    size.ws_col = static_cast<unsigned short>(columns);
    EXPECT_EQ(ioctl(fd_, TIOCSWINSZ, &size), 0);
  }
  std::string Take() {
    std::string text;
    char buffer[4096];
    for (ssize_t got; (got = read(reader_, buffer, sizeof(buffer))) > 0;) text.append(buffer, got);
    return text;
  }

 private:
  int reader_ = -1;
  int fd_ = -1;
};

TEST(ProgressTest, ATerminalShowsOneLineRewrittenInPlace) {
  Terminal terminal(120);
  double now = 0;
  const auto progress = Progress::Make(terminal.fd(), 200, 0, [&] { return now; });
  progress->Step(At(1));
  EXPECT_EQ(terminal.Take(), "\r\x1b[Kstep 1/200  loss 2.4312  8,912 tokens/s  peak 812.0 MiB  1:40 left");
  now = 1;
  progress->Step(At(2));
  EXPECT_EQ(terminal.Take(), "\r\x1b[Kstep 2/200  loss 2.4312  8,912 tokens/s  peak 812.0 MiB  1:39 left");
  progress->Finish();
  EXPECT_THAT(terminal.Take(), AllOf(HasSubstr("step 2/200"), HasSubstr("\n")));
  progress->Finish();
  EXPECT_EQ(terminal.Take(), "");
}

TEST(ProgressTest, ATerminalIsRewrittenAtMostTenTimesASecondButTheLastStepAlways) {
  Terminal terminal(120);
  double now = 0;
  const auto progress = Progress::Make(terminal.fd(), 50, 0, [&] { return now; });
  progress->Step(At(1));
  terminal.Take();
  now = 0.09;
  progress->Step(At(2));
  EXPECT_EQ(terminal.Take(), "");
  now = 0.11;
  progress->Step(At(3));
  EXPECT_THAT(terminal.Take(), HasSubstr("step 3/50"));
  progress->Step(At(50));
  EXPECT_THAT(terminal.Take(), HasSubstr("step 50/50"));
}

TEST(ProgressTest, ANarrowTerminalGetsTheMostImportantFieldsAndNoWrappedLine) {
  for (int columns : {10, 20, 27, 28, 45, 64, 200}) {
    Terminal terminal(columns);
    const auto progress = Progress::Make(terminal.fd(), 200, 0, [] { return 0.0; });
    progress->Step(At(1));
    const std::string text = terminal.Take();
    EXPECT_LT(static_cast<int>(text.size()) - 4, columns) << text;  // less the four bytes that clear the line
    if (columns > 10) {
      EXPECT_THAT(text, HasSubstr("step 1/200"));
    }
    if (columns >= 28) {
      EXPECT_THAT(text, HasSubstr("loss 2.4312"));
    }
  }
}

TEST(ProgressTest, AResizedTerminalIsFollowed) {
  Terminal terminal(200);
  double now = 0;
  const auto progress = Progress::Make(terminal.fd(), 200, 0, [&] { return now++; });
  progress->Step(At(1));
  EXPECT_THAT(terminal.Take(), HasSubstr("left"));
  terminal.Resize(30);
  progress->Step(At(2));
  EXPECT_THAT(terminal.Take(), Not(HasSubstr("left")));
}

TEST(ProgressTest, WhatIsSaidStandsAboveTheProgressLine) {
  Terminal terminal(120);
  const auto progress = Progress::Make(terminal.fd(), 200, 0, [] { return 0.0; });
  progress->Step(At(1));
  terminal.Take();
  progress->Say("checkpoint saved");
  EXPECT_THAT(terminal.Take(), testing::MatchesRegex("\r\x1b\\[Kcheckpoint saved\r?\nstep 1/200.*"));
  progress->Eval({50, 2.9, 436224, 75});
  EXPECT_THAT(terminal.Take(), HasSubstr("step 50  validation loss 2.9000  (436,224 tokens in 1:15)"));
}

class PipedProgressTest : public FolderTest {};

TEST_F(PipedProgressTest, PlainLinesWithoutControlCharacters) {
  auto file = open(Path("out").c_str(), O_CREAT | O_WRONLY, 0644);
  const auto progress = Progress::Make(file, 3, 0);
  progress->Say("hello");
  for (int64_t step : {1, 2, 3}) progress->Step(At(step));
  progress->Eval({3, 2.5, 1000, 1});
  progress->Finish();
  close(file);
  EXPECT_EQ(ReadFile(Path("out")).value(),
            "hello\n"
            "step 1/3  loss 2.4312  8,912 tokens/s  peak 812.0 MiB  0:01 left\n"
            "step 2/3  loss 2.4312  8,912 tokens/s  peak 812.0 MiB  0:01 left\n"
            "step 3/3  loss 2.4312  8,912 tokens/s  peak 812.0 MiB\n"
            "step 3  validation loss 2.5000  (1,000 tokens in 0:01)\n");
}

TEST(IsShownWhenPipedTest, ALongRunShowsAFewHundredSteps) {
  const auto shown = [](int64_t first, int64_t total) {
    int64_t count = 0;
    for (int64_t step = first + 1; step <= total; ++step) count += IsShownWhenPiped(step, first, total) ? 1 : 0;
    return count;
  };
  EXPECT_EQ(shown(0, 10), 10);
  EXPECT_EQ(shown(12345, 12355), 10) << "a resumed run shows its first steps too";
  EXPECT_GE(shown(0, 200), 30);
  EXPECT_LE(shown(0, 1000000), 300);
  EXPECT_TRUE(IsShownWhenPiped(999, 0, 999)) << "the last step";
}

}  // namespace
}  // namespace stowage
