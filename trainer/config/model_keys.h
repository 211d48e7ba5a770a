// Which keys of `model:` mean something for which built-in kind, and which data a kind takes.
//
// A kind that a program brings itself may use every key and any data: only its factory knows.
// Thread-safe: no state.
#ifndef STOWAGE_TRAINER_CONFIG_MODEL_KEYS_H_
#define STOWAGE_TRAINER_CONFIG_MODEL_KEYS_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "trainer/config/config.h"
#include "trainer/config/data_shape.h"

namespace stowage {

// Whether `key` ("model.heads") changes a model of this kind. True for keys outside `model:`.
bool ModelKindHasKey(const std::string& kind, const std::string& key);

// "layers, width, dropout": the keys of a built-in kind, for messages.
std::string ModelKeysText(const std::string& kind);

// InvalidArgument: the kind cannot learn from such data (cnn from text, gpt2 from images).
absl::Status CheckDataOfKind(const std::string& kind, const DataShape& data);

// Key and value, as written in YAML, of all that makes the model what it is: a resume compares them.
std::map<std::string, std::string> ModelValues(const Config& config);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CONFIG_MODEL_KEYS_H_
