// A tokenizer by its kind.
#ifndef STOWAGE_TRAINER_DATA_TOKENIZERS_MAKE_TOKENIZER_H_
#define STOWAGE_TRAINER_DATA_TOKENIZERS_MAKE_TOKENIZER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trainer/data/tokenizers/tokenizer.h"

namespace stowage {

inline constexpr char kTokenizerModel[] = "tokenizer.model";  // what a model is called beside shards and weights

// "bytes" (with an empty `model`), or "sentencepiece" with the contents of its .model file. InvalidArgument: another
// kind, or a model that is none.
absl::StatusOr<std::unique_ptr<Tokenizer>> MakeTokenizer(absl::string_view kind, const std::string& model);

// "sentencepiece" from a file. NotFound and the like: cannot be read. InvalidArgument: no such model.
absl::StatusOr<std::unique_ptr<Tokenizer>> ReadTokenizer(const std::string& path);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_TOKENIZERS_MAKE_TOKENIZER_H_
