// The folder that a run writes: config.yaml, plan.json, metrics.jsonl, report.json, events, checkpoints/, log/.
//
// One run at a time: an flock on `.lock` says it is in use (the kernel lets go of it when the process dies, however).
// A finished run is marked by report.json with "finished": true. Rank 0 only.
#ifndef STOWAGE_TRAINER_RUN_RUN_FOLDER_H_
#define STOWAGE_TRAINER_RUN_RUN_FOLDER_H_

#include <string>

#include "absl/status/statusor.h"

namespace stowage {

class RunFolder {
 public:
  // `resume` false: the folder must be new or empty of a run's files (FailedPrecondition: a run is there, use
  // --resume or another --run-dir; or it is in use by process N on host H). `resume` true: a run must be there and
  // not be finished.
  static absl::StatusOr<RunFolder> Open(const std::string& path, bool resume);
  RunFolder(RunFolder&&) noexcept;
  RunFolder& operator=(RunFolder&&) noexcept;
  ~RunFolder();  // lets go of the lock

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }
  std::string checkpoints() const { return File("checkpoints"); }

 private:
  RunFolder(std::string path, int lock_fd) : path_(std::move(path)), lock_fd_(lock_fd) {}
  std::string path_;
  int lock_fd_ = -1;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_RUN_FOLDER_H_
