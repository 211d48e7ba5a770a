// The tokenizer of a Hugging Face folder: which one it is, and ours written so that `transformers` loads it.
//
// Bytes: tokenizer.json holds a BPE model of 256 tokens without merges over GPT-2's spelling of bytes, in which the id
// of a byte is the byte; `transformers` then encodes text to the same ids as our byte tokenizer, and decodes them back.
// Sentencepiece: tokenizer.model, the file itself. Torch-free. Thread-safe: no state.
#ifndef STOWAGE_TRAINER_INTEROP_HF_TOKENIZER_H_
#define STOWAGE_TRAINER_INTEROP_HF_TOKENIZER_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace stowage {

enum class HfTokenizerKind {
  kNone,           // no tokenizer files
  kBytes,          // the byte tokenizer, as WriteHfByteTokenizer writes it (or transformers saved it again)
  kSentencepiece,  // tokenizer.model
  kOther,          // a tokenizer that Stowage does not read: GPT-2's, Llama 3's
};

// Errors: a file that cannot be read. A tokenizer.json that is not JSON is kOther.
absl::StatusOr<HfTokenizerKind> FindHfTokenizer(const std::string& folder);

// Where the model of a kSentencepiece folder lies.
std::string HfSentencepiecePath(const std::string& folder);

// tokenizer.json and tokenizer_config.json into `folder`. `context`: tokens that the model takes.
absl::Status WriteHfByteTokenizer(const std::string& folder, int64_t context);

// tokenizer.model (`model_bytes`: the file's contents) and tokenizer_config.json. `adds_space`: whether the model puts
// a space in front of a text, which `transformers` does not ask the model.
absl::Status WriteHfSentencepiece(const std::string& folder, const std::string& model_bytes, bool adds_space,
                                  int64_t context);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_INTEROP_HF_TOKENIZER_H_
