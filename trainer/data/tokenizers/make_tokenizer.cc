#include "trainer/data/tokenizers/make_tokenizer.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "trainer/data/tokenizers/byte_tokenizer.h"
#include "trainer/data/tokenizers/sentencepiece_tokenizer.h"

namespace stowage {

absl::StatusOr<std::unique_ptr<Tokenizer>> MakeTokenizer(absl::string_view kind, const std::string& model) {
  if (kind == "bytes" && model.empty()) return std::make_unique<ByteTokenizer>();
  if (kind == "sentencepiece") return SentencePieceTokenizer::Create(model);
  return absl::InvalidArgumentError(
      absl::StrCat("'", kind, "' is not a kind of tokenizer; there are: bytes, sentencepiece"));
}

absl::StatusOr<std::unique_ptr<Tokenizer>> ReadTokenizer(const std::string& path) {
  STOWAGE_ASSIGN_OR_RETURN(const std::string model, ReadFile(path));
  auto tokenizer = SentencePieceTokenizer::Create(model);
  if (!tokenizer.ok()) return Annotate(tokenizer.status(), path);
  return tokenizer;
}

}  // namespace stowage
