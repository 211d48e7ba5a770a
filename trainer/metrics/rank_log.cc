#include "trainer/metrics/rank_log.h"

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"

namespace stowage {

absl::StatusOr<std::unique_ptr<RankLog>> RankLog::Open(const std::string& run_folder, int rank) {
  const std::string folder = absl::StrCat(run_folder, "/log");
  STOWAGE_RETURN_IF_ERROR(MakeFolders(folder));
  STOWAGE_ASSIGN_OR_RETURN(OutputFile file, OutputFile::Continue(absl::StrCat(folder, "/rank-", rank, ".txt")));
  return absl::WrapUnique(new RankLog(std::move(file)));
}

absl::Status RankLog::Write(absl::string_view text) {
  const std::string time = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
  const std::string entry = absl::StrCat(time, " ", absl::StrReplaceAll(text, {{"\n", "\n  "}}), "\n");
  const std::lock_guard<std::mutex> lock(mu_);
  return file_.AppendRecord(entry);
}

}  // namespace stowage
