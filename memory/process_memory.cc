#include "memory/process_memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace stowage {
namespace {

constexpr char kStatus[] = "/proc/self/status";
constexpr char kClearRefs[] = "/proc/self/clear_refs";

absl::Status SystemError(absl::string_view what, const char* path) {
  return absl::UnavailableError(
      absl::StrCat(what, " ", path, ": ", std::strerror(errno), "; resident memory cannot be measured without it"));
}

// The bytes of a line such as "VmHWM:\t    2140 kB".
std::optional<int64_t> FindBytes(absl::string_view text, absl::string_view key) {
  size_t at = 0;
  while (at < text.size()) {
    size_t end = text.find('\n', at);
    if (end == absl::string_view::npos) end = text.size();
    absl::string_view line = text.substr(at, end - at);
    at = end + 1;
    if (line.substr(0, key.size()) != key || line.substr(key.size(), 1) != ":") continue;
    line.remove_prefix(key.size() + 1);
    const size_t unit = line.find(" kB");
    int64_t kib = 0;
    if (unit == absl::string_view::npos || !absl::SimpleAtoi(line.substr(0, unit), &kib)) return std::nullopt;
    return kib * 1024;
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<ProcessMemory> ReadProcessMemory() {
  const int file = open(kStatus, O_RDONLY | O_CLOEXEC);
  if (file < 0) return SystemError("cannot open", kStatus);
  const auto closer = absl::MakeCleanup([file] { close(file); });
  char buffer[8192];  // the file has some 1.5 KB
  size_t size = 0;
  while (size < sizeof(buffer)) {
    const ssize_t got = read(file, buffer + size, sizeof(buffer) - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return SystemError("cannot read", kStatus);
    if (got == 0) break;
    size += got;
  }
  const absl::string_view text(buffer, size);
  ProcessMemory memory;
  const struct {
    const char* key;
    int64_t* to;
  } lines[] = {{"VmHWM", &memory.peak_rss},
               {"VmRSS", &memory.rss},
               {"RssAnon", &memory.rss_anon},
               {"RssFile", &memory.rss_file}};
  for (const auto& line : lines) {
    const std::optional<int64_t> bytes = FindBytes(text, line.key);
    if (!bytes.has_value()) {
      return absl::UnavailableError(absl::StrCat(kStatus, " has no line ", line.key, " in kB; Linux 4.5 or later has"));
    }
    *line.to = *bytes;
  }
  return memory;
}

absl::Status ResetPeakRss() {
  const int file = open(kClearRefs, O_WRONLY | O_CLOEXEC);
  if (file < 0) return SystemError("cannot open", kClearRefs);
  const auto closer = absl::MakeCleanup([file] { close(file); });
  if (write(file, "5", 1) != 1) return SystemError("cannot write to", kClearRefs);
  return absl::OkStatus();
}

}  // namespace stowage
