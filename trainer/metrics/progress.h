// The line that a person watches. Rank 0 only.
#ifndef STOWAGE_TRAINER_METRICS_PROGRESS_H_
#define STOWAGE_TRAINER_METRICS_PROGRESS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "trainer/metrics/step_metrics.h"

namespace stowage {

// On a terminal one line, rewritten in place and cut to its width; piped: plain lines, one per step shown (every step
// at first, then at growing distances so that a long run writes a few hundred; the last step and evaluations always).
//
//   step 120/200  loss 2.4312  8,912 tokens/s  peak 812.0 MiB  0:42 left
//
// Not thread-safe. What cannot be written is lost: nobody is watching.
class Progress {
 public:
  // `fd` is borrowed. `first_step`: steps done before this process, 0 for a new run. `total_steps`: of the whole run.
  static std::unique_ptr<Progress> Make(int fd, int64_t total_steps, int64_t first_step);
  // The same with a clock of the caller's (seconds, steady), by which a terminal is rewritten at most 10 times a
  // second.
  static std::unique_ptr<Progress> Make(int fd, int64_t total_steps, int64_t first_step,
                                        std::function<double()> now_seconds);

  // Plain lines whatever `fd` is: mpirun gives its ranks a terminal even when its own output goes to a file.
  static std::unique_ptr<Progress> MakePlain(int fd, int64_t total_steps, int64_t first_step);

  virtual ~Progress() = default;
  virtual void Step(const StepMetrics& metrics) = 0;
  virtual void Eval(const EvalMetrics& metrics) = 0;
  virtual void Say(const std::string& line) = 0;  // a whole line, without tearing the progress line
  virtual void Finish() = 0;                      // leaves the last state as a line of its own
};

// Whether a piped run shows `step` of a run that had done `first_step` steps before: each of the first ten, then
// multiples of the largest of 1, 2, 5, 10, 20, 50... that is at most a tenth of the steps since.
bool IsShownWhenPiped(int64_t step, int64_t first_step, int64_t total_steps);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_METRICS_PROGRESS_H_
