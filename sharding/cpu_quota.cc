#include "sharding/cpu_quota.h"

#include <algorithm>
#include <fstream>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace stowage {
namespace {

// The first line's words; empty if the file cannot be read.
std::vector<std::string> FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return {};
  return absl::StrSplit(line, ' ', absl::SkipWhitespace());
}

double Cores(absl::string_view quota_us, absl::string_view period_us) {
  double quota = 0.0;
  double period = 0.0;
  if (!absl::SimpleAtod(quota_us, &quota) || !absl::SimpleAtod(period_us, &period)) return 0.0;  // "max"
  return quota > 0.0 && period > 0.0 ? quota / period : 0.0;                                     // v1: -1 is none
}

double QuotaV2(const std::string& folder) {
  const std::vector<std::string> words = FirstLine(absl::StrCat(folder, "/cpu.max"));
  return words.size() == 2 ? Cores(words[0], words[1]) : 0.0;
}

double QuotaV1(const std::string& folder) {
  const std::vector<std::string> quota = FirstLine(absl::StrCat(folder, "/cpu.cfs_quota_us"));
  const std::vector<std::string> period = FirstLine(absl::StrCat(folder, "/cpu.cfs_period_us"));
  return quota.size() == 1 && period.size() == 1 ? Cores(quota[0], period[0]) : 0.0;
}

template <typename Read>
double TightestUpwards(const std::string& mount, std::string path, Read read) {
  double tightest = 0.0;
  while (true) {
    const double cores = read(absl::StrCat(mount, path));
    if (cores > 0.0) tightest = tightest > 0.0 ? std::min(tightest, cores) : cores;
    const size_t slash = path.rfind('/');
    if (path.empty() || slash == std::string::npos) return tightest;
    path.resize(slash);
  }
}

}  // namespace

double CgroupQuotaCores(absl::string_view proc_cgroup, const std::string& mount) {
  double tightest = 0.0;
  const auto take = [&tightest](double cores) {
    if (cores > 0.0) tightest = tightest > 0.0 ? std::min(tightest, cores) : cores;
  };
  for (absl::string_view line : absl::StrSplit(proc_cgroup, '\n', absl::SkipEmpty())) {
    // "0::/user.slice" (v2), "4:cpu,cpuacct:/docker/abc" (v1).
    const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    if (fields[1].empty()) {
      take(TightestUpwards(mount, fields[2], QuotaV2));
      take(TightestUpwards(mount + "/unified", fields[2], QuotaV2));
      continue;
    }
    const std::vector<std::string> controllers = absl::StrSplit(fields[1], ',');
    if (std::find(controllers.begin(), controllers.end(), "cpu") == controllers.end()) continue;
    take(TightestUpwards(absl::StrCat(mount, "/", fields[1]), fields[2], QuotaV1));
    take(TightestUpwards(mount + "/cpu", fields[2], QuotaV1));
  }
  return tightest;
}

}  // namespace stowage
