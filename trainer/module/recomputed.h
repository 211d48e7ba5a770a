// Activation checkpointing for any function of tensors: its inputs are kept, all else is computed again in backward.
//
//   RecomputeBook book;
//   RecomputeScope scope(&book);                                       // outside of one nothing is recomputed
//   at::Tensor y = Recomputed(f, {x, mask}, PartsOf(*layer))[0];        // f(inputs) -> outputs
//   loss(y).backward();                                                 // f runs again here
//
// For training loops of one's own. Models that Stowage trains have memory.recompute instead, which costs nothing here.
//
// The function runs with autograd on both times (the first graph goes at once), with the state of LibTorch's default
// CPU generator, the autocast mode and the values of `parts.buffers` that it found the first time: so gradients have
// the bits of a call without recompute, wherever a parameter gets all of its gradient from one call. What the second
// run draws and writes to the buffers is undone. Calls may nest. What else the function needs (numbers, flags), it
// captures; what it captures must not change until backward.
//
// Not for functions that draw random numbers on several threads at once: the generator belongs to the process.
// Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", arXiv:1604.06174.
#ifndef STOWAGE_TRAINER_MODULE_RECOMPUTED_H_
#define STOWAGE_TRAINER_MODULE_RECOMPUTED_H_

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

namespace stowage {

using TensorFunction = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>;

// What a function uses beside its arguments.
struct FunctionParts {
  std::vector<at::Tensor> parameters;  // what gradients are wanted of; one that is left out gets none
  std::vector<at::Tensor> buffers;     // what it writes, as BatchNorm its running statistics
};
FunctionParts PartsOf(const torch::nn::Module& module);

// Counts of what scopes with this book did. Thread-safe. Must outlive the graphs of its calls.
class RecomputeBook {
 public:
  struct Counts {
    int64_t made = 0;        // calls whose inputs were kept
    int64_t recomputed = 0;  // functions that were run again
    int64_t held_bytes = 0;  // of inputs kept now, whose function has not been run again
  };
  Counts counts() const;
  // Counts made and recomputed from 0 on. What is held is held.
  void Clear();

  void Made(int64_t bytes);
  void Recomputed();
  void Released(int64_t bytes);

 private:
  mutable std::mutex mutex_;
  Counts counts_;
};

// Within it calls of Recomputed on this thread do recompute. Scopes nest; the innermost one's book counts.
class RecomputeScope {
 public:
  // `book` may be null.
  explicit RecomputeScope(RecomputeBook* book = nullptr);
  ~RecomputeScope();
  RecomputeScope(const RecomputeScope&) = delete;
  RecomputeScope& operator=(const RecomputeScope&) = delete;

 private:
  RecomputeBook* const outer_;
  const bool outer_active_;
};

enum class Recomputing {
  kInScope,  // if a scope is open
  kForced,   // in any case
};

// function(inputs). Without autograd, where no input or parameter wants a gradient, or where no scope is open and it is
// not forced: just that. Throws what the function throws.
std::vector<at::Tensor> Recomputed(const TensorFunction& function, const std::vector<at::Tensor>& inputs,
                                   const FunctionParts& parts = {}, Recomputing when = Recomputing::kInScope);

// One of a sequence: a module or a plain function.
struct SequencePart {
  TensorFunction function;
  FunctionParts parts;
};

// The functions one after the other, in `segments` runs as even as can be, each recomputed as one from its own input:
// so what is kept is the first input and the outputs of all runs. 1 <= segments <= functions; throws
// std::invalid_argument.
std::vector<at::Tensor> RecomputedSequence(const std::vector<SequencePart>& sequence, int segments,
                                           const std::vector<at::Tensor>& inputs,
                                           Recomputing when = Recomputing::kInScope);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODULE_RECOMPUTED_H_
