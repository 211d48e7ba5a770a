#include <algorithm>
#include <cmath>
#include <numeric>

#include <ATen/ops/zeros.h>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "memory/category_scope.h"
#include "sharding/solo_communicator.h"
#include "trainer/data/tokenizers/make_tokenizer.h"
#include "trainer/executor/exceptions.h"
#include "trainer/run/predict.h"
#include "trainer/run/train_run.h"

namespace stowage {
namespace {

// One id drawn from softmax(logits / temperature), restricted to the `top_k` likeliest if that is above 0.
int64_t Draw(const float* logits, int64_t vocabulary, const SampleOptions& options, double uniform) {
  std::vector<int64_t> order(vocabulary);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return logits[a] > logits[b]; });
  if (options.temperature == 0.0) return order[0];
  const int64_t count = options.top_k > 0 ? std::min(options.top_k, vocabulary) : vocabulary;
  std::vector<double> weights(count);
  double total = 0.0;
  for (int64_t i = 0; i < count; ++i) {
    weights[i] = std::exp((static_cast<double>(logits[order[i]]) - logits[order[0]]) / options.temperature);
    total += weights[i];
  }
  double left = uniform * total;
  for (int64_t i = 0; i < count; ++i) {
    left -= weights[i];
    if (left < 0.0) return order[i];
  }
  return order[count - 1];
}

constexpr int64_t kLengthStep = 32;

// The tokenizer that the model was trained with: the checkpoint's own copy, or the one whose name says all.
absl::StatusOr<std::unique_ptr<Tokenizer>> TokenizerOf(const LoadedModel& loaded) {
  if (!loaded.tokenizer_model.empty()) return MakeTokenizer("sentencepiece", loaded.tokenizer_model);
  if (loaded.config.data.tokenizer == "bytes") return MakeTokenizer("bytes", "");
  return absl::FailedPreconditionError(absl::StrCat(
      loaded.path, ": cannot sample: the model was trained on data whose tokenizer is not known (token files, or samples "
                   "that are no text). For token files name the model they were made with, data.tokenizer: PATH.model"));
}

}  // namespace

absl::StatusOr<std::string> Sample(const std::string& run_dir_or_checkpoint, const SampleOptions& options,
                                   const OwnKinds& own) {
  if (options.prompt.empty()) return absl::InvalidArgumentError("--prompt is empty; give at least one character");
  SoloCommunicator solo;
  STOWAGE_ASSIGN_OR_RETURN(LoadedModel loaded, LoadModel(run_dir_or_checkpoint, solo, own));
  STOWAGE_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer, TokenizerOf(loaded));
  STOWAGE_ASSIGN_OR_RETURN(std::vector<int64_t> tokens, tokenizer->Encode(options.prompt));
  for (int64_t i = 0; i < options.tokens; ++i) {
    const int64_t length = std::min<int64_t>(static_cast<int64_t>(tokens.size()), loaded.config.model.context);
    // Products are compiled for each shape. What is behind a token changes nothing for it, so lengths go in steps.
    const int64_t padded = std::min((length + kLengthStep - 1) / kLengthStep * kLengthStep, loaded.config.model.context);
    if (i % kLengthStep == 0) STOWAGE_RETURN_IF_ERROR(loaded.budget->Check().status());
    Batch batch;
    STOWAGE_RETURN_IF_ERROR(CatchExceptions([&] {
      CategoryScope scope(Category::kData);
      at::Tensor window = at::zeros({1, padded}, at::kLong);
      std::copy(tokens.end() - length, tokens.end(), window.data_ptr<int64_t>());
      batch.tensors["tokens"] = window;
    }));
    batch.samples = 1;
    STOWAGE_ASSIGN_OR_RETURN(const at::Tensor logits, Predict(loaded.state, batch));
    // A model may have more ids than the text knows (a padded vocabulary): those are never drawn.
    const int64_t classes = logits.size(-1), vocabulary = std::min(classes, tokenizer->vocabulary());
    const double uniform =
        static_cast<double>(HashKey({options.seed, static_cast<uint64_t>(i)}) >> 11) * 0x1.0p-53;
    tokens.push_back(Draw(logits.const_data_ptr<float>() + (length - 1) * classes, vocabulary, options, uniform));
    if (tokens.back() == tokenizer->end_of_document()) break;
  }
  // A byte model may stop in the middle of a character, or write one that there is not.
  return ValidUtf8(tokenizer->Decode(tokens));
}

}  // namespace stowage
