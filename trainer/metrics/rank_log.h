// log/rank-N.txt: what one rank has to say, with the time. Every rank has one; only rank 0 also speaks on the terminal.
//
//   2026-11-22T13:50:50.123Z opened checkpoint runs/kjv/checkpoints/step-00000200
//
// Thread-safe. A resumed run goes on in the same file.
#ifndef STOWAGE_TRAINER_METRICS_RANK_LOG_H_
#define STOWAGE_TRAINER_METRICS_RANK_LOG_H_

#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/file.h"

namespace stowage {

class RankLog {
 public:
  // Makes `run_folder`/log if it is missing; ranks may do so at the same time.
  static absl::StatusOr<std::unique_ptr<RankLog>> Open(const std::string& run_folder, int rank);

  // One entry, in UTC; further lines of `text` are indented. Handed to the system at once, so that it is there whatever
  // becomes of the process. After an error (a full disk) the file has no half entry and the next call tries again.
  absl::Status Write(absl::string_view text);

 private:
  explicit RankLog(OutputFile file) : file_(std::move(file)) {}
  std::mutex mu_;  // std: thread sanitizer cannot see into Debian's libabsl
  OutputFile file_ ABSL_GUARDED_BY(mu_);
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_METRICS_RANK_LOG_H_
