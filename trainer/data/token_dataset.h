// Windows of `context` + 1 tokens over a sequence of tokens: what a language model trains on.
//
// Sample i of epoch e begins at token i * context + shift(e), so windows share no target, and later epochs cut the
// text elsewhere. shift(0) is 0; the others are a hash of the epoch and the number of tokens, less than `context`.
// The last window leaves room for the largest shift, so every epoch has the same size. A validation set is never
// shifted and has every whole window, once.
//
// The tokens between documents are tokens like others: windows cross them and the model is asked to predict them, as
// in GPT-2's, nanoGPT's and llm.c's training. Nothing is masked.
#ifndef STOWAGE_TRAINER_DATA_TOKEN_DATASET_H_
#define STOWAGE_TRAINER_DATA_TOKEN_DATASET_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "trainer/data/dataset.h"
#include "trainer/data/token_sequence.h"

namespace stowage {

// What is known of where tokens came from.
struct TokenOrigin {
  std::string tokenizer_word;         // DataShape::tokenizer
  std::string tokenizer_fingerprint;  // part of the dataset's, unless empty
  double text_bytes_per_token = 0.0;  // 0: not known
};

class TokenDataset : public Dataset {
 public:
  enum class Use { kTrain, kValidation };

  // Owns the sequence. context >= 1. InvalidArgument: fewer than context + 1 tokens (both numbers named).
  static absl::StatusOr<std::unique_ptr<TokenDataset>> Create(TokenSequence tokens, int64_t context, Use use,
                                                              const TokenOrigin& origin = {});

  int64_t size() const override { return size_; }

  // "tokens" and "targets" [n, context] int64; targets[i][j] is the token after tokens[i][j]. loss_terms n * context.
  // InvalidArgument: an index that is not in [0, size). Else as TokenFile::Read.
  absl::StatusOr<Batch> Read(absl::Span<const SampleId> samples) const override;

  DataShape shape() const override {
    DataShape shape;
    shape.vocabulary = tokens_.vocabulary();
    shape.tokenizer = origin_.tokenizer_word;
    return shape;
  }
  double text_bytes_per_target() const override { return origin_.text_bytes_per_token; }
  std::string fingerprint() const override;

  // Where the windows of that epoch begin.
  int64_t Shift(int64_t epoch) const;

 private:
  TokenDataset(TokenSequence tokens, const TokenOrigin& origin, int64_t context, int64_t size, int64_t max_shift)
      : tokens_(std::move(tokens)),
        origin_(origin),
        context_(context),
        size_(size),
        max_shift_(max_shift),
        window_(context + 1) {}

  TokenSequence tokens_;
  TokenOrigin origin_;
  int64_t context_;
  int64_t size_;
  int64_t max_shift_;
  mutable std::vector<int64_t> window_;  // scratch; a dataset is read by one thread at a time
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_TOKEN_DATASET_H_
