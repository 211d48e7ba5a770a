// What `model.init_from`, a Hugging Face folder, decides of a config: the model's kind and sizes.
#ifndef STOWAGE_TRAINER_CONFIG_INIT_FROM_H_
#define STOWAGE_TRAINER_CONFIG_INIT_FROM_H_

#include "absl/status/status.h"
#include "trainer/config/config.h"
#include "trainer/config/contradictions.h"

namespace stowage {

// Fills the keys of `model:` that the folder's config.json decides, where the config does not give them (or gives
// auto), and data.tokenizer where the folder has a sentencepiece model. Does nothing where init_from is empty.
// InvalidArgument: a key is given and says something else, with its place and both values (model.context may be less
// than the folder's). Errors of ReadHfConfig, with the place of init_from. Thread-safe: no state.
absl::Status TakeInitFrom(const PlaceOfKey& place_of, Config& config);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CONFIG_INIT_FROM_H_
