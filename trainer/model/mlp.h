// A multilayer perceptron: samples of any shape, flattened, through hidden layers with ReLU to classes or numbers.
//
//   groups    layer.0 {weight [width, input], bias} ... layer.N-1 {weight [width, width], bias}, head {weight, bias}
//   segments  layer.0, ..., layer.N-1, head
#ifndef STOWAGE_TRAINER_MODEL_MLP_H_
#define STOWAGE_TRAINER_MODEL_MLP_H_

#include "absl/status/statusor.h"
#include "trainer/config/config.h"
#include "trainer/model/segment.h"

namespace stowage {

// `config` is resolved (input, outputs and loss are set). Weights and biases: PyTorch's of a linear layer, uniform in
// 1/sqrt(inputs). Dropout after each hidden layer. InvalidArgument: no input.
absl::StatusOr<Model> MakeMlp(const ModelConfig& config);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODEL_MLP_H_
