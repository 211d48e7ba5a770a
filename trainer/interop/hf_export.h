// A checkpoint as a folder that Hugging Face's `transformers` loads: GPT2LMHeadModel or LlamaForCausalLM.
//
//   DIR/config.json, generation_config.json
//   DIR/model.safetensors                             or, above `shard_bytes`, model-00001-of-00003.safetensors, ...
//                                                     and model.safetensors.index.json
//   DIR/tokenizer.json, tokenizer_config.json         for the byte tokenizer; tokenizer.model for sentencepiece
//
// Weights are the fp32 master weights, bit for bit. They go through some tens of MiB: what is held does not grow with
// the model. GPT-2 there always has biases: a model without them gets zeros, which compute the same.
// DIR appears whole or not at all: it is written aside, synced and renamed. One process. Torch-free.
#ifndef STOWAGE_TRAINER_INTEROP_HF_EXPORT_H_
#define STOWAGE_TRAINER_INTEROP_HF_EXPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "trainer/checkpoint/checkpoint_reader.h"
#include "trainer/config/config.h"

namespace stowage {

// What `transformers` itself cuts at unless told otherwise, near enough: files that every file system takes.
inline constexpr int64_t kHfShardBytes = int64_t{4} << 30;

struct ExportOutcome {
  int64_t weight_bytes = 0;
  int files = 0;                  // that hold weights
  std::string kind;               // "gpt2"
  std::vector<std::string> said;  // one line each: what was left out and why
};

// `config`: the resolved one that the checkpoint was trained with. `to`: new, or an empty folder.
// AlreadyExists: `to` is there and not empty. Unimplemented: a kind of model without a counterpart. FailedPrecondition:
// the checkpoint's tensors are not that model's. ResourceExhausted: the disk is full.
absl::StatusOr<ExportOutcome> ExportToHuggingFace(const CheckpointReader& checkpoint, const Config& config,
                                                  const std::string& to, int64_t shard_bytes = kHfShardBytes);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_INTEROP_HF_EXPORT_H_
