// The folder that holds checkpoints: names, what is in it, how one gets in and old ones out.
//
//   step-00000200/               complete: it got this name after everything in it was on disk
//   .step-200.partial-4711/      being written by process 4711, or left behind by a crash
//   .step-00000200.replaced/     the former step-00000200 while another takes its place; if a crash came between,
//                                it is read in its stead and gets its name back with the next save
//
// One process at a time writes here (a run folder is locked). Torch-free.
#ifndef STOWAGE_TRAINER_CHECKPOINT_CHECKPOINT_FOLDER_H_
#define STOWAGE_TRAINER_CHECKPOINT_CHECKPOINT_FOLDER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace stowage {

struct CheckpointEntry {
  int64_t step = 0;
  std::string path;
};

// What looks like a checkpoint by its name, newest (highest step) first. No folder: none.
absl::StatusOr<std::vector<CheckpointEntry>> ListCheckpoints(const std::string& folder);

// Clears up after a crash and makes an empty folder to write checkpoint `step` in (and `folder` itself). Returns its
// path. What could not be removed is one line each in `said` (may be null).
absl::StatusOr<std::string> MakePartialCheckpoint(const std::string& folder, int64_t step,
                                                  std::vector<std::string>* said);

// Gives the finished folder `partial` its name, taking the place of a checkpoint of that step. Returns the new path
// once it is on disk. After an error the former checkpoint of that step, if any, is in its place.
absl::StatusOr<std::string> PublishCheckpoint(const std::string& folder, const std::string& partial, int64_t step);

// Keeps checkpoint `kept_step` and the newest `keep` - 1 other complete ones; removes all that are older than these.
// Damaged ones do not count. What could not be removed is one line each in `said` (may be null).
void RemoveOldCheckpoints(const std::string& folder, int64_t kept_step, int64_t keep, std::vector<std::string>* said);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CHECKPOINT_CHECKPOINT_FOLDER_H_
