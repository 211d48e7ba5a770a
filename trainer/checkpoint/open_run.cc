#include "trainer/checkpoint/open_run.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "trainer/checkpoint/checkpoint.h"

namespace stowage {

absl::StatusOr<CheckpointReader> OpenRunCheckpoint(const std::string& path, std::vector<std::string>* said) {
  absl::StatusOr<CheckpointReader> newest = OpenNewest(path + "/checkpoints", said);
  if (!absl::IsNotFound(newest.status())) return newest;
  absl::StatusOr<CheckpointReader> direct = CheckpointReader::Open(path);
  if (absl::IsNotFound(direct.status())) {
    return absl::NotFoundError(
        absl::StrCat(path, ": neither a run folder with a whole checkpoint nor a checkpoint folder"));
  }
  if (direct.ok()) STOWAGE_RETURN_IF_ERROR(direct->Verify());
  return direct;
}

}  // namespace stowage
