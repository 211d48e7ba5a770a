#include "trainer/data/open_data.h"

#include <utility>

#include "base/status_macros.h"
#include "trainer/data/open_tokens.h"
#include "trainer/data/token_dataset.h"

namespace stowage {

absl::StatusOr<Data> OpenData(const DataConfig& config, int64_t context, int64_t vocabulary,
                              const std::function<void(const std::string&)>& say) {
  STOWAGE_ASSIGN_OR_RETURN(OpenedTokens tokens, OpenTokens(config, vocabulary, say));
  Data data;
  STOWAGE_ASSIGN_OR_RETURN(data.train,
                           TokenDataset::Create(std::move(tokens.train), context, TokenDataset::Use::kTrain));
  if (tokens.validation.has_value()) {
    STOWAGE_ASSIGN_OR_RETURN(
        data.validation, TokenDataset::Create(*std::move(tokens.validation), context, TokenDataset::Use::kValidation));
  }
  return data;
}

}  // namespace stowage
