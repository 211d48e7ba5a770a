// The main job: one experiment from its config to its report, on all ranks together.
#ifndef STOWAGE_TRAINER_RUN_TRAIN_RUN_H_
#define STOWAGE_TRAINER_RUN_TRAIN_RUN_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sharding/communicator.h"
#include "trainer/config/config.h"

namespace stowage {

struct TrainOptions {
  std::string run_dir;            // empty: runs/<run.name>
  bool resume = false;
  bool quiet = false;             // nothing on stdout (tests, library)
  int threads = 1;                // what this rank computes with (already applied), for the record
  std::string thread_description;
};

struct TrainOutcome {
  std::string run_dir;
  int64_t steps_done = 0;
  double last_loss = 0.0;
  double validation_loss = 0.0;   // NaN if there is no validation set
  bool stopped = false;           // by a signal, after saving: exit with kExitStoppedAndSaved
  int stop_signal = 0;
};

// Collective: all ranks call it with the same config (differences are found and named, every rank then returns
// InvalidArgument). Every rank returns the same status. Installs handlers for SIGTERM, SIGINT and SIGUSR1 while
// it runs.
absl::StatusOr<TrainOutcome> Train(const Config& config, Communicator& communicator, const TrainOptions& options);

struct EvalOutcome {
  double validation_loss = 0.0;
  int64_t tokens = 0;
  double seconds = 0.0;
  int64_t step = 0;
  std::string checkpoint;
};

// Loads the newest whole checkpoint of `run_dir` (or the checkpoint folder given itself) and evaluates it on its
// validation set, whole unless `sequences` > 0. Collective.
absl::StatusOr<EvalOutcome> Evaluate(const std::string& run_dir_or_checkpoint, Communicator& communicator,
                                     int64_t sequences);

struct SampleOptions {
  std::string prompt = "\n";
  int64_t tokens = 200;
  double temperature = 0.8;       // 0: the most likely token
  int64_t top_k = 0;              // 0: all
  uint64_t seed = 1;
};

// Continues `prompt` with the newest whole checkpoint. One process. Returns prompt and continuation.
absl::StatusOr<std::string> Sample(const std::string& run_dir_or_checkpoint, const SampleOptions& options);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_TRAIN_RUN_H_
