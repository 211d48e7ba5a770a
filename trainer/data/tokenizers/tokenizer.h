// Text to token ids and back. The seam for other tokenizers. Implementations are immutable: thread-safe.
#ifndef STOWAGE_TRAINER_DATA_TOKENIZERS_TOKENIZER_H_
#define STOWAGE_TRAINER_DATA_TOKENIZERS_TOKENIZER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace stowage {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  virtual absl::string_view kind() const = 0;  // "bytes", "sentencepiece"
  virtual int64_t vocabulary() const = 0;
  virtual int64_t end_of_document() const = 0;  // the id between documents

  // Long documents come in pieces, cut after a newline where there is one (see DocumentReader). No end_of_document is
  // added. InvalidArgument: text that this tokenizer cannot take, with the byte's position in `text`.
  virtual absl::StatusOr<std::vector<int64_t>> Encode(absl::string_view text) const = 0;

  // Ids outside the vocabulary become U+FFFD; end_of_document becomes what it is as text ("bytes": a NUL;
  // "sentencepiece": nothing).
  virtual std::string Decode(absl::Span<const int64_t> tokens) const = 0;

  // Bytes of text that the id in [0, vocabulary()) stands for; end_of_document counts 1 for "bytes", else 0.
  virtual int64_t TextBytes(int64_t token) const = 0;

  // What a file must hold to make this tokenizer again (MakeTokenizer); empty: its kind says all.
  virtual const std::string& model() const = 0;

  // Kind and what tells it from others of its kind: "bytes", "sentencepiece:89abcdef".
  virtual std::string fingerprint() const = 0;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_TOKENIZERS_TOKENIZER_H_
