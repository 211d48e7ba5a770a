// What a config wants recomputed, written into the model.
#ifndef STOWAGE_TRAINER_MODEL_RECOMPUTE_H_
#define STOWAGE_TRAINER_MODEL_RECOMPUTE_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainer/model/segment.h"
#include "trainer/schedule/recompute_policy.h"

namespace stowage {

// `text`: memory.recompute as a config writes it: "none", "sqrt", "{every: 2}", "[layer.0.attn, \"layer.*.ffn\"]";
// "auto" is none. InvalidArgument: anything else.
absl::StatusOr<RecomputePolicy> ParseRecomputePolicy(const std::string& text);

// Sets Model::recompute. InvalidArgument, naming the key: what SpansOf refuses. `places`: Config::places, of the key and
// of a list's items; what it has is named first.
absl::Status ApplyRecompute(const std::string& text, Model* model, const std::map<std::string, std::string>& places = {});

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODEL_RECOMPUTE_H_
