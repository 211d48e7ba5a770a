#include "memory/budget/data_limit.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace stowage {
namespace {

// What RLIMIT_DATA is compared with: VmData of /proc/self/status. Negative: not known.
int64_t MappedDataBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (!absl::StartsWith(line, "VmData:")) continue;
    const std::vector<std::string> words =
        absl::StrSplit(line.substr(7), absl::ByAnyChar(" \t"), absl::SkipWhitespace());
    int64_t kib = 0;
    if (!words.empty() && absl::SimpleAtoi(words[0], &kib)) return kib * 1024;
  }
  return -1;
}

}  // namespace

DataLimit::DataLimit() {
  if (getrlimit(RLIMIT_DATA, &before_) != 0) before_ = {RLIM_INFINITY, RLIM_INFINITY};
}

DataLimit::~DataLimit() {
  if (bytes_ >= 0) setrlimit(RLIMIT_DATA, &before_);
}

bool DataLimit::Set(int64_t left_bytes, int64_t wanted_bytes) {
  const int64_t mapped = MappedDataBytes();
  if (mapped < 0) return false;
  int64_t limit = mapped + std::max<int64_t>(0, left_bytes) + kSlackBytes;
  if (before_.rlim_cur != RLIM_INFINITY) {
    limit =
        std::min(limit, static_cast<int64_t>(std::min<rlim_t>(before_.rlim_cur, std::numeric_limits<int64_t>::max())));
  }
  const int64_t was = bytes_;
  const rlimit next = {static_cast<rlim_t>(limit), before_.rlim_max};
  if (setrlimit(RLIMIT_DATA, &next) != 0) return false;
  bytes_ = limit;
  return was >= 0 && wanted_bytes > was - mapped && wanted_bytes <= limit - mapped;
}

}  // namespace stowage
