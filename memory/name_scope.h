// Says what the tensors belong to that this thread allocates, and by which instruction, for as long as a scope lives.
//
//   const Label name("h.3.attn gradients");       // once
//   {
//     NameScope scope(name);
//     gradients = at::empty({numel});             // is "h.3.attn gradients" among the largest holders, until it is
//     freed
//   }
//
// Scopes nest; the innermost holds. Threads have scopes of their own: a new thread, one of the OpenMP team too, starts
// without a name. A scope costs two writes to thread-local memory.
#ifndef STOWAGE_MEMORY_NAME_SCOPE_H_
#define STOWAGE_MEMORY_NAME_SCOPE_H_

#include "memory/label.h"

namespace stowage {

class NameScope {
 public:
  explicit NameScope(Label name);
  ~NameScope();
  NameScope(const NameScope&) = delete;
  NameScope& operator=(const NameScope&) = delete;

  // This thread's innermost name.
  static Label Current();

 private:
  const Label outer_;
};

// The same for the instruction that is being played, which is told beside the name.
class InstructionScope {
 public:
  explicit InstructionScope(Label instruction);
  ~InstructionScope();
  InstructionScope(const InstructionScope&) = delete;
  InstructionScope& operator=(const InstructionScope&) = delete;

  // This thread's innermost instruction: "forward h.3.attn". No name: none is being played.
  static Label Current();

 private:
  const Label outer_;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_NAME_SCOPE_H_
