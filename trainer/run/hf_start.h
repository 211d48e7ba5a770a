// Starting from a Hugging Face folder: what a run needs besides the folder's config.json.
#ifndef STOWAGE_TRAINER_RUN_HF_START_H_
#define STOWAGE_TRAINER_RUN_HF_START_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainer/config/config.h"
#include "trainer/data/open_data.h"
#include "trainer/state/group_states.h"

namespace stowage {

// The weights of group number `g` of `groups`, which are those of `config`'s model (resolved), from `folder` into `whole`
// ([whole_numel] fp32, padding left alone). One rank does it. Errors: ImportHfWeights.
absl::Status ReadHfWeights(const std::string& folder, const ModelConfig& config, const GroupStates& groups, int g,
                           float* whole);

// Whether `data`'s tokens are those that the folder of model.init_from was trained on. Our byte tokenizer and
// sentencepiece models are compared; where the folder's tokenizer is one that Stowage does not read, token files must
// be given, of which nothing else is known. Every rank may ask by itself. InvalidArgument: they are not; the message
// says what to give. Empty init_from: OK.
absl::Status CheckTokensOfFolder(const Config& config, const Data& data);

// A resolved config with which the model of `folder` can be made and sampled. It names no data. InvalidArgument: the
// folder's config.json (see ReadHfConfig). Unimplemented: a tokenizer that Stowage does not read.
absl::StatusOr<Config> ConfigOfHfFolder(const std::string& folder);

// The contents of the folder's sentencepiece model; empty if it has none.
absl::StatusOr<std::string> TokenizerModelOfHfFolder(const std::string& folder);

// Whether `folder` looks like one: it has a config.json.
bool IsHfFolder(const std::string& folder);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_HF_START_H_
