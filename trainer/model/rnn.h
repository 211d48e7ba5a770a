// A recurrent network: layers of LSTM (Hochreiter and Schmidhuber, 1997) or GRU (Cho et al., arXiv:1406.1078) cells, in
// PyTorch's forms, over tokens or over sequences of vectors.
//
//   tokens    embedding, recurrent layers, language head; it learns the next token
//   vectors   recurrent layers over [time, features], head on the last time's state: classes or numbers
//
//   groups    embedding {token.weight [V, C]} (tokens only),
//             layer.N {weight_ih [G, in], weight_hh [G, C], bias_ih, bias_hh [G]}, G = 4 C (lstm), 3 C (gru),
//             head {weight, and for vectors bias}
//   segments  embedding (tokens only), layer.0 ... layer.N-1, head
//
// A sequence starts from a state of zeros: nothing is carried over from the sequence before.
#ifndef STOWAGE_TRAINER_MODEL_RNN_H_
#define STOWAGE_TRAINER_MODEL_RNN_H_

#include "absl/status/statusor.h"
#include "trainer/config/config.h"
#include "trainer/model/segment.h"

namespace stowage {

// `config` is resolved: vocabulary is set, or input [time, features], outputs and loss. Weights: PyTorch's, uniform in
// 1/sqrt(width); the embedding normal 1, or as the head's where they are tied. Dropout after the embedding and after
// each layer. InvalidArgument: the input is no sequence of vectors.
absl::StatusOr<Model> MakeRnn(const ModelConfig& config);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODEL_RNN_H_
