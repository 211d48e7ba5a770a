#include "trainer/metrics/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace stowage {
namespace {

// 1, 2, 5, 10, 20, 50...: the largest that is at most n (n >= 1).
int64_t RoundNumberUpTo(int64_t n) {
  int64_t power = 1;
  while (n / 10 >= power) power *= 10;
  if (n >= 5 * power) return 5 * power;
  return n >= 2 * power ? 2 * power : power;
}

void WriteAll(int fd, absl::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

// 8,912; below ten with two digits after the point.
std::string RateText(double rate) {
  if (!std::isfinite(rate)) return "-";
  if (rate < 10) return absl::StrFormat("%.2f", rate);
  std::string digits = absl::StrFormat("%.0f", rate);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(at, ",");
  return digits;
}

std::string BytesText(int64_t bytes) {
  const double mib = static_cast<double>(bytes) / (1 << 20);
  return mib < 1024 ? absl::StrFormat("%.1f MiB", mib) : absl::StrFormat("%.2f GiB", mib / 1024);
}

// 0:42, 12:07, 3:04:05, 2d 03:04.
std::string DurationText(double seconds) {
  const int64_t s = std::llround(seconds);
  if (s < 3600) return absl::StrFormat("%d:%02d", s / 60, s % 60);
  if (s < 86400) return absl::StrFormat("%d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
  return absl::StrFormat("%dd %02d:%02d", s / 86400, s / 3600 % 24, s / 60 % 60);
}

// What lines are made of; the two kinds differ only in how they show it.
class ProgressBase : public Progress {
 public:
  ProgressBase(int fd, int64_t total_steps, int64_t first_step)
      : fd_(fd), total_steps_(total_steps), first_step_(first_step) {}

 protected:
  void Count(const StepMetrics& metrics) {
    // An average that forgets within some twenty steps follows a machine that others use too. The first step of a
    // process also warms caches and allocators, so it counts only until there is another.
    constexpr double kForget = 0.05;
    const bool is_warm_up = ++steps_seen_ <= 2;
    seconds_per_step_ = is_warm_up ? metrics.seconds : (1 - kForget) * seconds_per_step_ + kForget * metrics.seconds;
  }

  // The line's parts, the most important first: a narrow terminal drops the last ones.
  std::vector<std::string> Fields(const StepMetrics& metrics) const {
    std::vector<std::string> fields = {
        absl::StrFormat("step %d/%d", metrics.step, total_steps_),
        absl::StrFormat("loss %.4f", metrics.loss),
        absl::StrCat(RateText(metrics.tokens_per_second), " ", metrics.counted, "/s"),
    };
    if (metrics.rss_peak_bytes > 0) fields.push_back(absl::StrCat("peak ", BytesText(metrics.rss_peak_bytes)));
    const int64_t left = total_steps_ - metrics.step;
    if (left > 0) fields.push_back(absl::StrCat(DurationText(left * seconds_per_step_), " left"));
    return fields;
  }

  static std::string EvalText(const EvalMetrics& metrics) {
    const std::string per_byte =
        metrics.text_bytes_per_token > 0.0
            ? absl::StrFormat("  per byte %.4f", metrics.validation_loss / metrics.text_bytes_per_token)
            : "";
    const std::string accuracy = metrics.accuracy ? absl::StrFormat("  accuracy %.2f %%", 100 * *metrics.accuracy) : "";
    return absl::StrFormat("step %d  validation loss %.4f%s%s  (%s %s in %s)", metrics.step, metrics.validation_loss,
                           per_byte, accuracy, RateText(static_cast<double>(metrics.tokens)), metrics.counted,
                           DurationText(metrics.seconds));
  }

  const int fd_;
  const int64_t total_steps_;
  const int64_t first_step_;

 private:
  int64_t steps_seen_ = 0;
  double seconds_per_step_ = 0.0;
};

class PipedProgress : public ProgressBase {
 public:
  using ProgressBase::ProgressBase;

  void Step(const StepMetrics& metrics) override {
    Count(metrics);
    if (!IsShownWhenPiped(metrics.step, first_step_, total_steps_)) return;
    std::string line;
    for (const std::string& field : Fields(metrics)) absl::StrAppend(&line, line.empty() ? "" : "  ", field);
    Say(line);
  }
  void Eval(const EvalMetrics& metrics) override { Say(EvalText(metrics)); }
  void Say(const std::string& line) override { WriteAll(fd_, line + "\n"); }
  void Finish() override {}
};

class TerminalProgress : public ProgressBase {
 public:
  TerminalProgress(int fd, int64_t total_steps, int64_t first_step, std::function<double()> now_seconds)
      : ProgressBase(fd, total_steps, first_step), now_seconds_(std::move(now_seconds)) {}
  ~TerminalProgress() override { Finish(); }

  void Step(const StepMetrics& metrics) override {
    constexpr double kSecondsBetweenDraws = 0.1;  // more often than the eye follows only costs the terminal
    Count(metrics);
    fields_ = Fields(metrics);
    const double now = now_seconds_();
    if (drawn_ && metrics.step < total_steps_ && now - drawn_at_ < kSecondsBetweenDraws) return;
    drawn_at_ = now;
    drawn_ = true;
    WriteAll(fd_, kClearLine + CutToWidth());
  }
  void Eval(const EvalMetrics& metrics) override { Say(EvalText(metrics)); }
  void Say(const std::string& line) override { WriteAll(fd_, absl::StrCat(kClearLine, line, "\n", CutToWidth())); }
  void Finish() override {
    if (!fields_.empty()) WriteAll(fd_, absl::StrCat(kClearLine, CutToWidth(), "\n"));
    fields_.clear();
  }

 private:
  static constexpr char kClearLine[] = "\r\x1b[K";

  // One column stays free: a full line makes some terminals wrap, and then the next \r is a line too low.
  std::string CutToWidth() const {
    winsize size{};
    const bool known = ioctl(fd_, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    const size_t width = (known ? size.ws_col : 80) - 1;
    std::string line;
    for (const std::string& field : fields_) {
      const std::string longer = absl::StrCat(line, line.empty() ? "" : "  ", field);
      if (longer.size() > width) break;
      line = longer;
    }
    return line;
  }

  const std::function<double()> now_seconds_;
  std::vector<std::string> fields_;  // of the last step; empty before the first
  bool drawn_ = false;
  double drawn_at_ = 0.0;
};

}  // namespace

bool IsShownWhenPiped(int64_t step, int64_t first_step, int64_t total_steps) {
  const int64_t done = std::max<int64_t>(step - first_step, 1);
  return step >= total_steps || done <= 10 || step % RoundNumberUpTo(done / 10) == 0;
}

std::unique_ptr<Progress> Progress::Make(int fd, int64_t total_steps, int64_t first_step) {
  return Make(fd, total_steps, first_step, [] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  });
}

std::unique_ptr<Progress> Progress::Make(int fd, int64_t total_steps, int64_t first_step,
                                         std::function<double()> now_seconds) {
  if (isatty(fd) == 1) return std::make_unique<TerminalProgress>(fd, total_steps, first_step, std::move(now_seconds));
  return MakePlain(fd, total_steps, first_step);
}

std::unique_ptr<Progress> Progress::MakePlain(int fd, int64_t total_steps, int64_t first_step) {
  return std::make_unique<PipedProgress>(fd, total_steps, first_step);
}

}  // namespace stowage
