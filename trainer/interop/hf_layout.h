// Which tensor of a Hugging Face folder is which rows of which of our parameters.
//
// GPT-2 there keeps its linear layers as Conv1D: [in, out], where ours are [out, in]; it always has biases, so a model
// without them gets zeros. Llama there has queries, keys and values (and gate and up) as tensors of their own, where
// ours are rows of one. Rotary embedding rotates halves in both, so no rows are permuted.
//
// Source: transformers 5.23, models/gpt2/modeling_gpt2.py and models/llama/modeling_llama.py. Torch-free.
#ifndef STOWAGE_TRAINER_INTEROP_HF_LAYOUT_H_
#define STOWAGE_TRAINER_INTEROP_HF_LAYOUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "trainer/config/config.h"

namespace stowage {

struct HfTensor {
  std::string name;            // there: "transformer.h.0.attn.c_attn.weight"
  std::vector<int64_t> shape;  // there

  std::string ours;                // our parameter; empty: zeros there, nothing here
  std::vector<int64_t> our_shape;  // of the whole parameter; vectors count as matrices of one column
  int64_t first_row = 0;           // ours: rows [first_row, first_row + rows)
  int64_t rows = 0;
  int64_t columns = 1;
  bool transposed = false;  // there it is [columns, rows]
};

// All tensors of the model that `config` (resolved) describes, in the model's order.
// Unimplemented: a kind that is neither gpt2 nor llama.
absl::StatusOr<std::vector<HfTensor>> HfLayout(const ModelConfig& config);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_INTEROP_HF_LAYOUT_H_
