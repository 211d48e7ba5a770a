// Parameters as a model declares them, and as a segment meets them during a pass.
#ifndef STOWAGE_TRAINER_MODEL_PARAMETER_H_
#define STOWAGE_TRAINER_MODEL_PARAMETER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace stowage {

// How a parameter starts. Random values are a pure function of (seed, parameter name, element).
struct Init {
  enum class Kind { kZeros, kOnes, kNormal, kUniform } kind = Kind::kZeros;
  double stddev = 0.0;  // kNormal
  double bound = 0.0;   // kUniform: in [-bound, bound)

  static Init Zeros() { return {Kind::kZeros}; }
  static Init Ones() { return {Kind::kOnes}; }
  static Init Normal(double stddev) { return {Kind::kNormal, stddev}; }
  static Init Uniform(double bound) { return {Kind::kUniform, 0.0, bound}; }
};

struct ParameterSpec {
  std::string name;  // unique in the model: "layer.3.attn.qkv.weight"
  std::vector<int64_t> shape;
  Init init;
  bool keep_fp32 = false;  // norms' weights: a segment that computes in bf16 still gets them in fp32

  int64_t numel() const {
    int64_t n = 1;
    for (int64_t d : shape) n *= d;
    return n;
  }
  // Weight decay pulls on matrices only; biases and norms stay free.
  bool decay() const { return shape.size() >= 2; }
};

// What is gathered, reduced and updated at once: one layer as a rule.
struct GroupSpec {
  std::string name;
  std::vector<ParameterSpec> parameters;
  // Where a torch::nn module knows best: the starting values (fp32) of all parameters, in order, in place of their
  // `init`; a function of the seed. May throw. Called for one group at a time, so that one group's are held.
  std::function<std::vector<at::Tensor>(uint64_t seed)> initial_values;
  // What is split over ranks: 0 nothing, 1 optimizer state, 2 gradients too, 3 parameters too (ApplySharding()).
  int zero_stage = 0;
};

// Where the gradient of one parameter is summed up over a step: a view of its group's flat gradient buffer.
//
// The first contribution of a step is written, later ones are added, so nothing needs zeroing beforehand and an
// operator that can write its weight gradient by itself (a matrix product with beta 0 or 1) needs no temporary.
// Contributions come in the order of backward, which is fixed. Borrows the buffer. Not thread-safe.
class GradientSlot {
 public:
  // The buffer that a step's gradients go to, in the parameter's shape. Undefined: none is bound.
  void Bind(at::Tensor view) {
    view_ = std::move(view);
    written_ = false;
  }

  // The buffer is still to be made: `open` makes and binds it, and is called when the first contribution of the step
  // comes. It may throw what LibTorch throws when memory is short.
  void BindWhenWritten(std::function<void()> open) {
    Bind(at::Tensor());
    open_ = std::move(open);
  }

  // For operators that write by themselves: `accumulate` says whether to add to what is there.
  struct Target {
    at::Tensor view;
    bool accumulate = false;
  };
  Target Write() {
    Open();
    Target target{view_, written_};
    written_ = true;
    return target;
  }

  // Adds `contribution` (the parameter's shape, any float dtype).
  void Add(const at::Tensor& contribution);

  // Makes the view zeros if nothing was written in this step.
  void ZeroIfUnwritten();

 private:
  void Open();

  at::Tensor view_;
  bool written_ = false;
  std::function<void()> open_;  // empty: Bind gives the buffer
};

// A parameter inside a segment: its value, and where its gradient goes (null: no gradient is wanted).
struct Parameter {
  at::Tensor value;
  GradientSlot* gradient = nullptr;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODEL_PARAMETER_H_
