// Trains as people do, with ranks as threads of this process, and makes something go wrong in chosen steps.
#ifndef STOWAGE_TESTS_STEPS_STEP_RUN_H_
#define STOWAGE_TESTS_STEPS_STEP_RUN_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "memory/failing_source.h"
#include "trainer/config/config.h"
#include "trainer/data/dataset.h"
#include "trainer/run/own_kinds.h"
#include "trainer/run/train_run.h"

namespace stowage {

// Called on a rank's thread at each Read of the training set, before it.
using OnRead = std::function<absl::Status(int rank, absl::Span<const SampleId> samples)>;
// The same after it.
using OnBatch = std::function<void(int rank, absl::Span<const SampleId> samples, Batch* batch)>;

struct StepRun {
  Config config;       // data.source is set here
  std::string folder;  // emptied before, unless `resume`
  int world_size = 1;
  bool resume = false;
  std::function<std::unique_ptr<Dataset>()> data;
  OwnKinds own;
  OnRead on_read;
  OnBatch on_batch;
};

// One outcome a rank. All have to come to an end, whatever happened.
std::vector<absl::StatusOr<TrainOutcome>> TrainRanks(const StepRun& run);

// The calling rank's tensors come from here on from a source that can refuse; TrainRanks takes it off again.
FailingSource& RefusingSource();

// The lines of metrics.jsonl that are about steps.
std::vector<nlohmann::json> StepLines(const std::string& folder);
nlohmann::json ReportOf(const std::string& folder);

// Every tensor of the checkpoint of `step`, as bytes by name, optimizer state included.
using Weights = std::map<std::string, std::vector<char>>;
Weights WeightsAt(const std::string& folder, int64_t step);
// Empty: the same bits. Else the first tensors that differ, with how many of their bytes do.
std::string Difference(const Weights& one, const Weights& other);

// Takes the run back to its checkpoint of `step`: what came later is removed.
void GoBackTo(const std::string& folder, int64_t step);
// Writes another value into the state that the checkpoint of `step` has.
void SetState(const std::string& folder, int64_t step, const std::string& name, const std::string& value);

}  // namespace stowage

#endif  // STOWAGE_TESTS_STEPS_STEP_RUN_H_
