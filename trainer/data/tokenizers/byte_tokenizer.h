// Each byte is its own id, 256 in all; NUL ends a document, so text that holds a NUL is refused.
#ifndef STOWAGE_TRAINER_DATA_TOKENIZERS_BYTE_TOKENIZER_H_
#define STOWAGE_TRAINER_DATA_TOKENIZERS_BYTE_TOKENIZER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/data/tokenizers/tokenizer.h"

namespace stowage {

class ByteTokenizer : public Tokenizer {
 public:
  absl::string_view kind() const override { return "bytes"; }
  int64_t vocabulary() const override { return 256; }
  int64_t end_of_document() const override { return 0; }
  absl::StatusOr<std::vector<int64_t>> Encode(absl::string_view text) const override;
  std::string Decode(absl::Span<const int64_t> tokens) const override;
  int64_t TextBytes(int64_t) const override { return 1; }
  const std::string& model() const override { return no_model_; }
  std::string fingerprint() const override { return "bytes"; }

 private:
  const std::string no_model_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_TOKENIZERS_BYTE_TOKENIZER_H_
