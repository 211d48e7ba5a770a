#include "trainer/data/token_dataset.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/status_macros.h"

namespace stowage {
namespace {

constexpr uint64_t kShiftKey = 0x73686966;  // "shif"; see docs/data.md

}  // namespace

absl::StatusOr<std::unique_ptr<TokenDataset>> TokenDataset::Create(TokenSequence tokens, int64_t context, Use use,
                                                                   const TokenOrigin& origin) {
  STOWAGE_CHECK(context >= 1) << context;
  const int64_t total = tokens.tokens();
  const int64_t whole = (total - 1) / context;  // each token but the first is a target once
  if (whole < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(tokens.description(), ": ", use == Use::kTrain ? "the training" : "the validation", " data holds ",
                     total, " tokens; one sequence needs model.context + 1 = ", context + 1,
                     ". Give more text, a smaller model.context, or another data.validation_fraction"));
  }
  if (use == Use::kValidation) {
    return std::unique_ptr<TokenDataset>(new TokenDataset(std::move(tokens), origin, context, whole, 0));
  }
  // A shift is at most context - 1. Data of a single window keeps it, and shifts by what room there is.
  const int64_t size = std::max<int64_t>(1, (total - context) / context);
  const int64_t max_shift = std::min(context - 1, total - 1 - size * context);
  return std::unique_ptr<TokenDataset>(new TokenDataset(std::move(tokens), origin, context, size, max_shift));
}

int64_t TokenDataset::Shift(int64_t epoch) const {
  if (epoch == 0 || max_shift_ == 0) return 0;
  const uint64_t hash = HashKey({kShiftKey, static_cast<uint64_t>(epoch), static_cast<uint64_t>(tokens_.tokens())});
  return static_cast<int64_t>(hash % static_cast<uint64_t>(max_shift_ + 1));
}

std::string TokenDataset::fingerprint() const {
  return origin_.tokenizer_fingerprint.empty()
             ? tokens_.fingerprint()
             : absl::StrCat(tokens_.fingerprint(), ",", origin_.tokenizer_fingerprint);
}

absl::StatusOr<Batch> TokenDataset::Read(absl::Span<const SampleId> samples) const {
  const int64_t n = samples.size();
  at::Tensor tokens = at::empty({n, context_}, at::TensorOptions().dtype(at::kLong));
  at::Tensor targets = at::empty({n, context_}, at::TensorOptions().dtype(at::kLong));
  int64_t* token = tokens.mutable_data_ptr<int64_t>();
  int64_t* target = targets.mutable_data_ptr<int64_t>();
  for (const SampleId& sample : samples) {
    if (sample.index < 0 || sample.index >= size_ || sample.epoch < 0) {
      return absl::InvalidArgumentError(absl::StrCat("sample ", sample.index, " of epoch ", sample.epoch,
                                                     " was asked for; the dataset has ", size_, " samples"));
    }
    const int64_t first = sample.index * context_ + Shift(sample.epoch);
    STOWAGE_RETURN_IF_ERROR(tokens_.Read(first, context_ + 1, window_.data()));
    token = std::copy_n(window_.data(), context_, token);
    target = std::copy_n(window_.data() + 1, context_, target);
  }
  Batch batch;
  batch.tensors["tokens"] = std::move(tokens);
  batch.tensors["targets"] = std::move(targets);
  batch.samples = n;
  batch.loss_terms = n * context_;
  return batch;
}

}  // namespace stowage
