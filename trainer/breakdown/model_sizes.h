// What a closed formula must know of a transformer: its sizes, and how many weights these come to.
//
// Plain data and pure functions; thread-safe. Nothing here makes a model: that is the point of a formula, and why a
// test compares each with the model that is really made.
#ifndef STOWAGE_TRAINER_BREAKDOWN_MODEL_SIZES_H_
#define STOWAGE_TRAINER_BREAKDOWN_MODEL_SIZES_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "trainer/config/config.h"

namespace stowage {

struct ModelSizes {
  std::string kind = "gpt2";  // gpt2 | llama
  int64_t layers = 0;
  int64_t width = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t ffn = 0;
  int64_t vocabulary = 0;
  int64_t context = 0;
  bool tied = true;
  bool bias = true;
  bool norm_bias = true;

  bool llama() const { return kind == "llama"; }
  // Rows of the projection to queries, keys and values.
  int64_t qkv_rows() const { return width + 2 * kv_heads * (width / heads); }
  // Rows of the feed-forward half's first projection: SwiGLU has a gate beside it.
  int64_t up_rows() const { return llama() ? 2 * ffn : ffn; }
};

// Whether there are formulas for this kind of model.
bool HasSizes(const std::string& kind);

// `resolved`: no `auto` is left in model. InvalidArgument: one is, or the kind has no formula.
absl::StatusOr<ModelSizes> SizesOf(const Config& resolved);

// Weights, by what becomes of them where a run computes in bf16 (trainer/state/group_state.h).
struct ParameterCounts {
  int64_t embedding = 0;    // the matrix of tokens
  int64_t positions = 0;    // gpt2's
  int64_t linear = 0;       // of the layers: matrices and their biases
  int64_t layer_norms = 0;  // of the layers
  int64_t head_norm = 0;
  int64_t head = 0;  // the head's own matrix; 0 where it is the embedding's

  int64_t total() const { return embedding + positions + linear + layer_norms + head_norm + head; }
};

ParameterCounts CountParameters(const ModelSizes& sizes);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_BREAKDOWN_MODEL_SIZES_H_
