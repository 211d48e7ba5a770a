#include "trainer/data/tokenizers/byte_tokenizer.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace stowage {

absl::StatusOr<std::vector<int64_t>> ByteTokenizer::Encode(absl::string_view text) const {
  const size_t nul = text.find('\0');
  if (nul != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a NUL at byte ", nul, " of the text; the byte tokenizer uses NUL to end documents. Is this a text file?"));
  }
  std::vector<int64_t> tokens(text.size());
  for (size_t i = 0; i < text.size(); ++i) tokens[i] = static_cast<unsigned char>(text[i]);
  return tokens;
}

std::string ByteTokenizer::Decode(absl::Span<const int64_t> tokens) const {
  std::string text;
  text.reserve(tokens.size());
  for (int64_t token : tokens) {
    if (token >= 0 && token < 256) {
      text.push_back(static_cast<char>(token));
    } else {
      text.append("\xef\xbf\xbd");  // U+FFFD; a model's vocabulary may be padded beyond the tokenizer's
    }
  }
  return text;
}

}  // namespace stowage
