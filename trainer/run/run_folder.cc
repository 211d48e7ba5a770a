#include "trainer/run/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "trainer/metrics/report.h"

namespace stowage {
namespace {

// A file that only a run makes: the first one by name, or empty.
absl::StatusOr<std::string> FindRunFile(const std::string& path) {
  STOWAGE_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListFolder(path));
  for (const std::string& name : names) {
    for (const char* ours : {"checkpoints", "config.yaml", "log", "metrics.jsonl", "plan.json", "report.json"}) {
      if (name == ours) return name;
    }
    if (absl::StartsWith(name, "events.out.tfevents.")) return name;
  }
  return std::string();
}

std::string Me() {
  char host[256] = {};
  if (gethostname(host, sizeof(host) - 1) != 0) host[0] = '\0';
  return absl::StrCat("process ", getpid(), " on host ", host[0] != '\0' ? host : "(unknown)");
}

// Who holds the lock, as they wrote it; they may not have come to that yet.
std::string Holder(const std::string& lock_path) {
  const auto text = ReadFile(lock_path);
  const std::string holder = text.ok() ? std::string(absl::StripSuffix(*text, "\n")) : std::string();
  return holder.empty() ? "another process" : holder;
}

// An open descriptor that holds the folder's lock.
absl::StatusOr<FileDescriptor> Lock(const std::string& path) {
  const std::string lock_path = absl::StrCat(path, "/.lock");
  FileDescriptor file(open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!file.is_open()) return FileError(lock_path, "open", errno);
  if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return FileError(lock_path, "lock", errno);
    return absl::FailedPreconditionError(absl::StrCat("run folder ", path, " is in use by ", Holder(lock_path),
                                                      ": wait for it, or use another --run-dir"));
  }
  const std::string me = absl::StrCat(Me(), "\n");
  if (ftruncate(file.get(), 0) != 0 ||
      pwrite(file.get(), me.data(), me.size(), 0) != static_cast<ssize_t>(me.size())) {
    return FileError(lock_path, "write who holds it", errno);
  }
  return file;
}

absl::Status CheckContents(const std::string& path, bool resume) {
  STOWAGE_ASSIGN_OR_RETURN(const std::string found, FindRunFile(path));
  if (!resume) {
    if (found.empty()) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat("run folder ", path, " holds a run already (", found,
                                                      "): go on with --resume, or use another --run-dir"));
  }
  if (found.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("run folder ", path, " holds no run to resume: start it without --resume"));
  }
  const std::string report = absl::StrCat(path, "/report.json");
  const auto finished = ReportSaysFinished(report);
  if (!finished.ok()) {
    return Annotate(finished.status(), "cannot tell whether the run is finished (remove this file to go on)");
  }
  if (*finished) {
    return absl::FailedPreconditionError(
        absl::StrCat("the run in ", path, " is finished (", report,
                     "): nothing is left to resume; use another --run-dir for a new one"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RunFolder> RunFolder::Open(const std::string& path, bool resume) {
  if (!resume) {
    STOWAGE_RETURN_IF_ERROR(MakeFolders(path));
  } else if (!PathExists(path)) {
    return absl::FailedPreconditionError(
        absl::StrCat("run folder ", path, " is not there: nothing to resume; start it without --resume"));
  }
  STOWAGE_ASSIGN_OR_RETURN(FileDescriptor lock, Lock(path));
  RunFolder folder(path, std::move(lock));
  STOWAGE_RETURN_IF_ERROR(CheckContents(path, resume));
  return folder;
}

}  // namespace stowage
