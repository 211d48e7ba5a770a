// The weights of a Hugging Face folder, laid into our parameters. Torch-free. Thread-safe: no state.
#ifndef STOWAGE_TRAINER_INTEROP_HF_IMPORT_H_
#define STOWAGE_TRAINER_INTEROP_HF_IMPORT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "trainer/config/config.h"

namespace stowage {

// Where the values of one parameter of the model go: row-major fp32; null: they are left out.
struct ImportTarget {
  std::vector<int64_t> shape;
  float* to = nullptr;
};

// Fills every target from `folder`. `config` is the resolved model, `targets` its parameters by name. Everything is
// checked against the headers before the first value is written; what is held beside the targets is some MiB.
// A position table that is longer than model.context is cut; a head that the model ties to its embedding is ignored.
// NotFound / DataLoss: files (see HfWeights). FailedPrecondition: tensors that are missing, of another shape or an
// unreadable dtype, or have no place in this model; the first few are named.
absl::Status ImportHfWeights(const std::string& folder, const ModelConfig& config,
                             const std::map<std::string, ImportTarget>& targets);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_INTEROP_HF_IMPORT_H_
