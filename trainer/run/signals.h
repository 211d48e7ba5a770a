// Asked to stop: SIGTERM, SIGINT and SIGUSR1 while a SignalWatch lives, and mpirun's notice that it ends the job.
//
// That notice is a SIGCONT from mpirun, the first thing that it sends then, long before SIGTERM where it was given the
// time (sharding/launcher_process.h). A SIGCONT from anybody else means what it always does.
//
// The handlers run on a stack of their own. oneDNN's fp32 products (made at run time) use the stack pointer as one more
// register and let it point into the heap; a signal that arrived there would put its frame among malloc's blocks.
// That holds for the thread that made the watch: SetUpProcess keeps the signals away from the team that computes with
// it, and other threads run no such products.
//
// A handler only notes the number; the training loop brings it to `agree`, so all ranks stop after the same step
// whichever rank was asked. One watch at a time in a process; the handlers of before come back at its end.
#ifndef STOWAGE_TRAINER_RUN_SIGNALS_H_
#define STOWAGE_TRAINER_RUN_SIGNALS_H_

#include <signal.h>
#include <sys/types.h>

#include <memory>
#include <optional>

namespace stowage {

// Made and destroyed on the thread that trains.
class SignalWatch {
 public:
  // As this process was launched.
  SignalWatch();
  // `announcer`: whose SIGCONT is a request to stop; nobody's if nullopt.
  explicit SignalWatch(std::optional<pid_t> announcer);
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  // The signals that a watch answers.
  static sigset_t Signals();

  // The number of the first signal received since construction, 0 if none. SIGCONT: mpirun's notice.
  int received() const;

 private:
  static constexpr int kSignals[] = {SIGTERM, SIGINT, SIGUSR1, SIGCONT};
  static constexpr int kCount = 4;
  struct sigaction before_[kCount];
  std::unique_ptr<char[]> stack_;
  stack_t stack_before_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_SIGNALS_H_
