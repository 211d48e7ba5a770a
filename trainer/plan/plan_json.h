// A prediction as JSON and back: what `stowage plan --json` prints, and what the forked rehearsal sends its parent.
//
// (plan.json of a run folder is another file: trainer/run/plan_json.h.)
#ifndef STOWAGE_TRAINER_PLAN_PLAN_JSON_H_
#define STOWAGE_TRAINER_PLAN_PLAN_JSON_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trainer/plan/prediction.h"

namespace stowage {

// One object, keys as the members are named, bytes as whole numbers; a nullopt is left out. Beside them, for readers:
// "format", 1; "fits" of the whole and of each budget. Ends with a newline. Strings that are not UTF-8 are mended
// (base/utf8.h); a time that is not finite is a bug of ours.
std::string PredictionJson(const Prediction& prediction);

// Every field comes back as it was; what is not one of PredictionJson's keys is passed over.
// InvalidArgument, with the place ("phases[2].total_peak_bytes") and what was found there: not JSON, cut short, another
// format, a key that is missing, of another type or out of its range. Throws nothing.
absl::StatusOr<Prediction> ParsePrediction(absl::string_view text);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_PLAN_PLAN_JSON_H_
