// The `data:` section's tokens, as files that are open and checked. Without tensors; open_data.h makes datasets of it.
#ifndef STOWAGE_TRAINER_DATA_OPEN_TOKENS_H_
#define STOWAGE_TRAINER_DATA_OPEN_TOKENS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "trainer/config/config.h"
#include "trainer/data/token_sequence.h"
#include "trainer/data/tokenizers/tokenizer.h"

namespace stowage {

struct OpenedTokens {
  TokenSequence train;
  std::optional<TokenSequence> validation;
  std::shared_ptr<const Tokenizer> tokenizer;  // null: the files do not say, nor does data.tokenizer
  std::string tokenizer_word;                  // data.tokenizer, auto filled in; empty: only auto says it (see .cc)
  double validation_bytes_per_token = 0.0;     // of text, on average; 0: not known
};

// As OpenData (open_data.h), which see: arguments, paths, locks and errors are the same.
absl::StatusOr<OpenedTokens> OpenTokens(const DataConfig& config, int64_t vocabulary,
                                        const std::function<void(const std::string&)>& say);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_OPEN_TOKENS_H_
