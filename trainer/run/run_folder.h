// The folder that a run writes: config.yaml, plan.json, metrics.jsonl, report.json, events, checkpoints/, log/.
//
// One run at a time: an flock on `.lock` says it is in use (the kernel lets go of it when the process dies, however).
// A finished run is marked by report.json with "finished": true. Rank 0 only.
#ifndef STOWAGE_TRAINER_RUN_RUN_FOLDER_H_
#define STOWAGE_TRAINER_RUN_RUN_FOLDER_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "base/file_descriptor.h"

namespace stowage {

class RunFolder {
 public:
  // `resume` false: the folder must be new or empty of a run's files (FailedPrecondition: a run is there, use
  // --resume or another --run-dir; or it is in use by process N on host H). `resume` true: a run must be there and
  // not be finished.
  static absl::StatusOr<RunFolder> Open(const std::string& path, bool resume);

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }
  std::string checkpoints() const { return File("checkpoints"); }

 private:
  RunFolder(std::string path, FileDescriptor lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  FileDescriptor lock_;  // the file stays: removing it would let two processes hold locks on two files of that name
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_RUN_FOLDER_H_
