// Asked to stop: SIGTERM, SIGINT and SIGUSR1 while a SignalWatch lives.
//
// A handler only notes the number; the training loop brings it to `agree`, so all ranks stop after the same step
// whichever rank was asked. One watch at a time in a process; the handlers of before come back at its end.
#ifndef STOWAGE_TRAINER_RUN_SIGNALS_H_
#define STOWAGE_TRAINER_RUN_SIGNALS_H_

#include <signal.h>

namespace stowage {

class SignalWatch {
 public:
  SignalWatch();
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  // The number of the first signal received since construction, 0 if none.
  int received() const;

 private:
  static constexpr int kSignals[] = {SIGTERM, SIGINT, SIGUSR1};
  struct sigaction before_[3];
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_SIGNALS_H_
