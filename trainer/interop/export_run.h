// `stowage export`: from the path of a run to a folder of another program.
#ifndef STOWAGE_TRAINER_INTEROP_EXPORT_RUN_H_
#define STOWAGE_TRAINER_INTEROP_EXPORT_RUN_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "trainer/interop/hf_export.h"

namespace stowage {

struct RunExport {
  ExportOutcome outcome;
  int64_t step = 0;
  std::string checkpoint;  // its path
};

// Exports the newest whole checkpoint of `run_dir_or_checkpoint` (or the checkpoint folder given itself) to `to`. One
// process. Errors: OpenRunCheckpoint, ParseConfig, ExportToHuggingFace.
absl::StatusOr<RunExport> ExportRun(const std::string& run_dir_or_checkpoint, const std::string& to,
                                    int64_t shard_bytes = kHfShardBytes);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_INTEROP_EXPORT_RUN_H_
