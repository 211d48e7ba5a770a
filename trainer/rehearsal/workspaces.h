// What operators of LibTorch take inside, beyond their results: packed copies, reordered weights, partial sums.
//
// Nothing but running such an operator tells how much. So each is run once for every new combination of shapes, strides
// and types: for real, on zeros, and what it takes goes into the process's own ledger; later calls replay that. Where a
// call would touch more than `most_bytes` it is not run, and counted in `unmeasured`: its workspace is missing from the
// prediction.
//
// Thread-safe as far as it is used from one thread at a time.
#ifndef STOWAGE_TRAINER_REHEARSAL_WORKSPACES_H_
#define STOWAGE_TRAINER_REHEARSAL_WORKSPACES_H_

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "memory/ledger_marks.h"

namespace stowage {

// Whether the operator is known to take memory inside ("aten::convolution"), on tensors of these types.
bool TakesWorkspace(const std::string& name, const c10::IValue* arguments);
class Workspaces {
 public:
  // Borrows the marks of the ledger that the process's tensors are counted in.
  Workspaces(LedgerMarks& marks, int64_t most_bytes) : marks_(marks), most_bytes_(most_bytes) {}

  // Plays the operator whose arguments are on the stack: for real, or as it went before (one that writes into
  // arguments: always for real). False, with the stack as it was: too large to be run.
  bool Play(const c10::OperatorHandle& op, const std::string& name, torch::jit::Stack* stack);

  int64_t measured() const { return static_cast<int64_t>(known_.size()); }
  // Operators that were too large to be run, with the most bytes of arguments that one of them had.
  const std::map<std::string, int64_t>& unmeasured() const { return unmeasured_; }

 private:
  // One result: undefined, or of this shape in new memory.
  struct Result {
    bool defined = false;
    std::vector<int64_t> sizes, strides;
    int64_t offset = 0;
    at::ScalarType dtype = at::kFloat;
    size_t storage_bytes = 0;  // an operator may keep more than it shows
    size_t storage_of = 0;     // which result's memory it is: its own number, or a lower one
    int argument = -1;         // whose memory it is, counting tensors among the arguments; -1: new
  };
  struct Known {
    std::vector<Result> results;
    int64_t inside_bytes = 0;  // held at most beyond the results
  };

  LedgerMarks& marks_;
  const int64_t most_bytes_;
  std::map<std::string, Known> known_;  // by name, shapes, strides, types and numbers
  std::map<std::string, int64_t> unmeasured_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_REHEARSAL_WORKSPACES_H_
