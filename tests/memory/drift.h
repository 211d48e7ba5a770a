// Whether a run holds more memory the longer it goes on.
#ifndef STOWAGE_TESTS_MEMORY_DRIFT_H_
#define STOWAGE_TESTS_MEMORY_DRIFT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace stowage {

// What this process holds, in bytes.
struct Held {
  int64_t tensors = 0;  // live in the ledger
  int64_t heap = 0;     // given out by malloc, mapped blocks included
  int64_t rss = 0;
};

struct Drift {
  Held early, late;
  int64_t steps = 0;  // in between
};

// Trains a tiny GPT-2 in this process for `steps` steps of two micro-batches, with a run folder under `folder`, as
// `stowage train` does, and looks at the start of step `steps` / 2 and of the last one. `precision`: fp32 or bf16.
absl::StatusOr<Drift> MeasureDrift(int64_t steps, const std::string& precision, const std::string& folder);

}  // namespace stowage

#endif  // STOWAGE_TESTS_MEMORY_DRIFT_H_
