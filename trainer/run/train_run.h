// The main job: one experiment from its config to its report, on all ranks together.
#ifndef STOWAGE_TRAINER_RUN_TRAIN_RUN_H_
#define STOWAGE_TRAINER_RUN_TRAIN_RUN_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sharding/communicator.h"
#include "trainer/config/config.h"
#include "trainer/plan/prediction.h"
#include "trainer/run/own_kinds.h"

namespace stowage {

struct TrainOptions {
  std::string run_dir;            // empty: runs/<run.name>
  bool resume = false;
  bool quiet = false;             // nothing on stdout (tests, library)
  int threads = 1;                // what this rank computes with (already applied), for the record
  std::string thread_description;
  bool no_plan = false;           // of programs that plan first: they do not
  std::string why_no_plan;        // of programs that plan first and could not: said once nothing else is in the way
  std::optional<Prediction> prediction;  // rank 0's, for the report: what was planned beside what was measured
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
// it runs. `own`, here and below: what the program brings besides what is built in; CheckOwnKinds found it good.
absl::StatusOr<TrainOutcome> Train(const Config& config, Communicator& communicator, const TrainOptions& options,
                                   const OwnKinds& own = {});

struct EvalOutcome {
  double validation_loss = 0.0;
  double text_bytes_per_token = 0.0;  // 0: not text by subwords, or not known
  int64_t tokens = 0;
  double seconds = 0.0;
  int64_t step = 0;
  std::string checkpoint;
  std::optional<double> accuracy;  // share of samples classed right, of a model of classes
  bool samples = false;            // `tokens` counts samples that are no tokens
};

// Loads the newest whole checkpoint of `run_dir` (or the checkpoint folder given itself) and evaluates it on its
// validation set, whole unless `sequences` > 0. Collective.
absl::StatusOr<EvalOutcome> Evaluate(const std::string& run_dir_or_checkpoint, Communicator& communicator,
                                     int64_t sequences, const OwnKinds& own = {});

struct SampleOptions {
  std::string prompt = "\n";
  int64_t tokens = 200;
  double temperature = 0.8;       // 0: the most likely token
  int64_t top_k = 0;              // 0: all
  uint64_t seed = 1;
};

// Continues `prompt` with the newest whole checkpoint. One process. Returns prompt and continuation.
absl::StatusOr<std::string> Sample(const std::string& run_dir_or_checkpoint, const SampleOptions& options,
                                   const OwnKinds& own = {});

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_TRAIN_RUN_H_
