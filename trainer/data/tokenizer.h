// Text to token ids and back. The seam for other tokenizers. Implementations are immutable: thread-safe.
#ifndef STOWAGE_TRAINER_DATA_TOKENIZER_H_
#define STOWAGE_TRAINER_DATA_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace stowage {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  virtual absl::string_view kind() const = 0;  // "bytes"
  virtual int64_t vocabulary() const = 0;
  virtual int64_t end_of_document() const = 0;  // the id between documents

  // Long documents come in pieces, cut after a newline where there is one (see DocumentReader). No end_of_document is
  // added. InvalidArgument: text that this tokenizer cannot take, with the byte's position in `text`.
  virtual absl::StatusOr<std::vector<int64_t>> Encode(absl::string_view text) const = 0;

  // Ids outside the vocabulary become U+FFFD; end_of_document becomes what it is as text ("bytes": a NUL).
  virtual std::string Decode(absl::Span<const int64_t> tokens) const = 0;
};

// "bytes": 256 ids, a byte each; NUL ends a document (text that holds a NUL is refused). Else InvalidArgument.
absl::StatusOr<std::unique_ptr<Tokenizer>> MakeTokenizer(absl::string_view kind);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_TOKENIZER_H_
