// Told of every instruction that an executor plays: to mark bytes or time against it.
#ifndef STOWAGE_TRAINER_EXECUTOR_OBSERVER_H_
#define STOWAGE_TRAINER_EXECUTOR_OBSERVER_H_

#include "trainer/schedule/instruction.h"

namespace stowage {

// Called on the thread that plays. Every Before has its After, also where the instruction failed or was skipped because
// an earlier one had.
class InstructionObserver {
 public:
  virtual ~InstructionObserver() = default;
  virtual void Before(const Instruction& instruction) = 0;
  virtual void After(const Instruction& instruction) = 0;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_EXECUTOR_OBSERVER_H_
