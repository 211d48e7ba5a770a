#include "trainer/data/tokenizers/sentencepiece_library.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <utility>

namespace stowage {
namespace {

std::string ErrorOf(const sentencepiece::util::Status& status) { return status.ok() ? "" : status.ToString(); }

class Sentences : public sentencepiece::SentenceIterator {
 public:
  explicit Sentences(const std::function<bool(std::string*)>& next) : next_(next) { Next(); }
  bool done() const override { return done_; }
  void Next() override { done_ = !next_(&sentence_); }
  const std::string& value() const override { return sentence_; }
  sentencepiece::util::Status status() const override { return sentencepiece::util::Status(); }

 private:
  const std::function<bool(std::string*)>& next_;
  std::string sentence_;
  bool done_ = false;
};

class Model : public SentencePieceModel {
 public:
  std::string Load(const std::string& model) { return ErrorOf(processor_.LoadFromSerializedProto(model)); }
  int pieces() const override { return processor_.GetPieceSize(); }
  int end_of_sentence() const override { return processor_.eos_id(); }
  PieceKind kind(int id) const override {
    if (processor_.IsByte(id)) return PieceKind::kByte;
    if (processor_.IsControl(id)) return PieceKind::kControl;
    return processor_.IsUnknown(id) ? PieceKind::kUnknown : PieceKind::kText;
  }
  std::string text(int id) const override { return processor_.IdToPiece(id); }
  std::string Encode(const std::string& text, std::vector<int>* ids) const override {
    return ErrorOf(processor_.Encode(text, ids));
  }

 private:
  sentencepiece::SentencePieceProcessor processor_;
};

}  // namespace

std::string TrainBpe(int vocabulary, const std::function<bool(std::string*)>& next, std::string* model) {
  Sentences sentences(next);
  if (sentences.done()) return "there is no text to learn from";
  const auto status = sentencepiece::SentencePieceTrainer::Train({{"model_type", "bpe"},
                                                                  {"vocab_size", std::to_string(vocabulary)},
                                                                  {"byte_fallback", "true"},
                                                                  {"character_coverage", "0.9995"},
                                                                  {"normalization_rule_name", "identity"},
                                                                  {"add_dummy_prefix", "false"},
                                                                  {"remove_extra_whitespaces", "false"},
                                                                  {"allow_whitespace_only_pieces", "true"},
                                                                  {"max_sentence_length", "16384"},
                                                                  {"unk_id", "0"},
                                                                  {"bos_id", "1"},
                                                                  {"eos_id", "2"},
                                                                  {"pad_id", "-1"},
                                                                  {"num_threads", "1"},
                                                                  {"minloglevel", "3"}},
                                                                 &sentences, model);
  return ErrorOf(status);
}

std::unique_ptr<SentencePieceModel> SentencePieceModel::Load(const std::string& model, std::string* error) {
  auto loaded = std::make_unique<Model>();
  *error = loaded->Load(model);
  if (!error->empty()) return nullptr;
  return loaded;
}

}  // namespace stowage
