// Where a run stands beside its tensors and its step: what a resume needs besides to go on with the same bits.
//
// Kept in a checkpoint's manifest as texts by name ("state"). Torch-free.
#ifndef STOWAGE_TRAINER_RUN_TRAIN_STATE_H_
#define STOWAGE_TRAINER_RUN_TRAIN_STATE_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trainer/config/config.h"

namespace stowage {

struct TrainState {
  int64_t micro_batch = 1;    // in force: the config's, or less where memory was short (shortage_policy.h)
  int64_t skipped_steps = 0;  // since the run began (skip_policy.h); updates are steps less these
  int64_t skipped_in_a_row = 0;
  double loss_scale = 1.0;  // of the next step (loss_scaler.h)
  int64_t clean_steps = 0;
};

// Of a run that begins. `config` is resolved.
TrainState FirstTrainState(const Config& config);

std::map<std::string, std::string> TextsOf(const TrainState& state);

// The way back. What is not there stays as it is in `otherwise`, FirstTrainState of the run that goes on: a checkpoint
// may be older than a field. DataLoss: a value that cannot be, such as a larger micro-batch than the config's.
absl::StatusOr<TrainState> TrainStateOf(const std::map<std::string, std::string>& texts, const TrainState& otherwise);

// The texts in one, for sending: "name=value" a line.
std::string LinesOf(const std::map<std::string, std::string>& texts);
std::map<std::string, std::string> TextsOfLines(absl::string_view lines);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_TRAIN_STATE_H_
