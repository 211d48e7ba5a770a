// Subword ids by a SentencePiece model: one that train_tokenizer.h learned, or a .model file made elsewhere.
//
// With a model that has a piece for every byte and changes nothing (those learned here), Encode takes any bytes, and
// Decode(Encode(text)) is the text, byte for byte: what the model has no piece for, bytes that are no UTF-8, NUL and
// U+2581 (which SentencePiece writes for a space) become byte pieces. A model made elsewhere may normalise text, put a
// space in front of it, or know no bytes; then ids are those that the model itself gives. Immutable: thread-safe.
#ifndef STOWAGE_TRAINER_DATA_TOKENIZERS_SENTENCEPIECE_TOKENIZER_H_
#define STOWAGE_TRAINER_DATA_TOKENIZERS_SENTENCEPIECE_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "trainer/data/tokenizers/sentencepiece_library.h"
#include "trainer/data/tokenizers/tokenizer.h"

namespace stowage {

class SentencePieceTokenizer : public Tokenizer {
 public:
  // `model`: the contents of a .model file. InvalidArgument: it is none, or has no end-of-sentence piece, which is
  // what ends documents.
  static absl::StatusOr<std::unique_ptr<SentencePieceTokenizer>> Create(const std::string& model);

  absl::string_view kind() const override { return "sentencepiece"; }
  int64_t vocabulary() const override { return static_cast<int64_t>(decoded_.size()); }
  int64_t end_of_document() const override { return library_->end_of_sentence(); }
  absl::StatusOr<std::vector<int64_t>> Encode(absl::string_view text) const override;
  std::string Decode(absl::Span<const int64_t> tokens) const override;
  int64_t TextBytes(int64_t token) const override { return static_cast<int64_t>(decoded_[token].size()); }
  const std::string& model() const override { return model_; }
  std::string fingerprint() const override;

 private:
  SentencePieceTokenizer(std::string model, std::unique_ptr<SentencePieceModel> library)
      : model_(std::move(model)), library_(std::move(library)) {}

  absl::Status EncodeRun(absl::string_view run, std::vector<int64_t>* tokens) const;

  std::string model_;
  std::unique_ptr<SentencePieceModel> library_;
  std::vector<std::string> decoded_;  // [vocabulary]: the text that each id stands for
  std::vector<int64_t> byte_tokens_;  // [256]; empty: the model lacks some
  bool adds_space_ = false;           // in front of every text
  bool newlines_end_pieces_ = true;   // so that lines can be encoded one by one, which takes less time and memory
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_TOKENIZERS_SENTENCEPIECE_TOKENIZER_H_
