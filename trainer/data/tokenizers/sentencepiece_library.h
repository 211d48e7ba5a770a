// The SentencePiece library behind types of the standard library alone: its headers define `absl::string_view` anew,
// so they cannot be included beside abseil's. Everything else of this folder is built on this.
//
// Errors are the library's own words; empty: none. SentencePieceModel's const methods are thread-safe.
#ifndef STOWAGE_TRAINER_DATA_TOKENIZERS_SENTENCEPIECE_LIBRARY_H_
#define STOWAGE_TRAINER_DATA_TOKENIZERS_SENTENCEPIECE_LIBRARY_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace stowage {

// Learns `vocabulary` pieces by byte-pair encoding from the sentences that `next` gives until it returns false, and
// writes the serialized model to `model`. The same sentences give the same model. See train_tokenizer.h for what is
// asked of the library. Returns an error, or "".
std::string TrainBpe(int vocabulary, const std::function<bool(std::string*)>& next, std::string* model);

class SentencePieceModel {
 public:
  enum class PieceKind { kText, kByte, kControl, kUnknown };

  // Null, and `error`, if `model` is not a serialized model.
  static std::unique_ptr<SentencePieceModel> Load(const std::string& model, std::string* error);
  virtual ~SentencePieceModel() = default;

  virtual int pieces() const = 0;
  virtual int end_of_sentence() const = 0;  // id; -1: the model has none
  virtual PieceKind kind(int id) const = 0;
  virtual std::string text(int id) const = 0;  // as the model has it: U+2581 for a space, "<0x41>" for a byte
  virtual std::string Encode(const std::string& text, std::vector<int>* ids) const = 0;  // returns an error, or ""
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_TOKENIZERS_SENTENCEPIECE_LIBRARY_H_
