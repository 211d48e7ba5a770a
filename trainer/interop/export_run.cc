#include "trainer/interop/export_run.h"

#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "trainer/checkpoint/open_run.h"
#include "trainer/config/load.h"

namespace stowage {

absl::StatusOr<RunExport> ExportRun(const std::string& run_dir_or_checkpoint, const std::string& to,
                                    int64_t shard_bytes) {
  std::vector<std::string> said;
  STOWAGE_ASSIGN_OR_RETURN(const CheckpointReader checkpoint, OpenRunCheckpoint(run_dir_or_checkpoint, &said));
  STOWAGE_ASSIGN_OR_RETURN(const Config config,
                           ParseConfig(checkpoint.info().config_yaml, checkpoint.path() + "/config.yaml"));
  STOWAGE_ASSIGN_OR_RETURN(ExportOutcome outcome, ExportToHuggingFace(checkpoint, config, to, shard_bytes));
  outcome.said.insert(outcome.said.begin(), said.begin(), said.end());
  return RunExport{std::move(outcome), checkpoint.info().step, checkpoint.path()};
}

}  // namespace stowage
