#include "trainer/data/open_data.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "trainer/data/open_tokens.h"
#include "trainer/data/samples/open_samples.h"
#include "trainer/data/samples/sample_dataset.h"
#include "trainer/data/token_dataset.h"

namespace stowage {
namespace {

absl::StatusOr<Data> OpenSampleData(const DataConfig& config) {
  STOWAGE_ASSIGN_OR_RETURN(OpenedSamples samples, OpenSamples(config));
  const std::vector<int64_t> view = config.view.value_or(std::vector<int64_t>());
  Data data;
  STOWAGE_ASSIGN_OR_RETURN(data.train, SampleDataset::Create(std::move(samples.train), view));
  if (samples.validation != nullptr) {
    STOWAGE_ASSIGN_OR_RETURN(data.validation, SampleDataset::Create(std::move(samples.validation), view));
  }
  return data;
}

// Keys about samples would change nothing here.
absl::Status RefuseSampleKeys(const DataConfig& config) {
  const char* key = config.view.has_value()        ? "view"
                    : !config.targets.empty()      ? "targets"
                    : !config.class_column.empty() ? "class_column"
                                                   : nullptr;
  if (key == nullptr) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "data.", key, ": is about samples of numbers, but the data (",
      config.source.empty() ? absl::StrJoin(config.train, ", ") : config.source, ") is text or tokens; leave it out"));
}

}  // namespace

absl::StatusOr<Data> OpenData(const DataConfig& config, int64_t context, int64_t vocabulary,
                              const std::function<void(const std::string&)>& say) {
  STOWAGE_ASSIGN_OR_RETURN(const bool samples, NamesSamples(config));
  if (samples) return OpenSampleData(config);
  STOWAGE_RETURN_IF_ERROR(RefuseSampleKeys(config));
  STOWAGE_ASSIGN_OR_RETURN(OpenedTokens tokens, OpenTokens(config, vocabulary, say));
  TokenOrigin origin;
  origin.tokenizer_word = tokens.tokenizer_word;
  const bool has_model = tokens.tokenizer != nullptr && !tokens.tokenizer->model().empty();
  if (has_model) origin.tokenizer_fingerprint = tokens.tokenizer->fingerprint();
  Data data;
  data.tokenizer = tokens.tokenizer;
  STOWAGE_ASSIGN_OR_RETURN(data.train,
                           TokenDataset::Create(std::move(tokens.train), context, TokenDataset::Use::kTrain, origin));
  if (tokens.validation.has_value()) {
    origin.text_bytes_per_token = tokens.validation_bytes_per_token;
    STOWAGE_ASSIGN_OR_RETURN(data.validation, TokenDataset::Create(*std::move(tokens.validation), context,
                                                                   TokenDataset::Use::kValidation, origin));
  }
  return data;
}

}  // namespace stowage
