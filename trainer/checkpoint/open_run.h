// The checkpoint that a person means by the path of a run, or of one of its checkpoints. Torch-free.
#ifndef STOWAGE_TRAINER_CHECKPOINT_OPEN_RUN_H_
#define STOWAGE_TRAINER_CHECKPOINT_OPEN_RUN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "trainer/checkpoint/checkpoint_reader.h"

namespace stowage {

// `path`: a run folder (its newest whole checkpoint; one line in `said` for each damaged one passed over) or a
// checkpoint folder. Its contents are verified. Reads every byte of it.
// NotFound: neither. DataLoss: the checkpoint folder given is damaged. FailedPrecondition: of another format version.
absl::StatusOr<CheckpointReader> OpenRunCheckpoint(const std::string& path, std::vector<std::string>* said);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CHECKPOINT_OPEN_RUN_H_
