#include "memory/budget/cgroup_memory.h"

#include <algorithm>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace stowage {
namespace {

// Version 1 writes its largest counter for "no limit"; no machine has half of it.
constexpr int64_t kNoLimitV1 = int64_t{1} << 60;

struct Mount {
  std::string group;  // the group that the mount shows as its root: "/", or a container's own
  std::string folder;
};

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// mountinfo writes blanks and the like in octal: "\040".
std::string Unescape(absl::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool octal = text[i] == '\\' && i + 3 < text.size() &&
                       std::all_of(&text[i + 1], &text[i + 1] + 3, [](char c) { return c >= '0' && c <= '7'; });
    if (octal) {
      out.push_back(static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0')));
      i += 3;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

// Lines such as "35 31 0:32 /job /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory".
std::vector<Mount> MountsOf(const std::string& mountinfo, bool version_2) {
  std::vector<Mount> mounts;
  for (absl::string_view line : absl::StrSplit(mountinfo, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> halves = absl::StrSplit(line, absl::MaxSplits(" - ", 1));
    if (halves.size() != 2) continue;
    const std::vector<std::string> where = absl::StrSplit(halves[0], ' ');
    const std::vector<std::string> what = absl::StrSplit(halves[1], ' ');
    if (where.size() < 5 || what.size() < 3) continue;
    if (what[0] != (version_2 ? "cgroup2" : "cgroup")) continue;
    const std::vector<std::string> options = absl::StrSplit(what[2], ',');
    if (!version_2 && std::find(options.begin(), options.end(), "memory") == options.end()) continue;
    mounts.push_back({Unescape(where[3]), Unescape(where[4])});
  }
  return mounts;
}

// A limit in bytes; 0: none.
int64_t ReadLimit(const std::string& path) {
  const std::string text = ReadText(path);
  int64_t bytes = 0;
  if (!absl::SimpleAtoi(text, &bytes) || bytes <= 0 || bytes >= kNoLimitV1) return 0;  // "max\n" is no number
  return bytes;
}

// From `group`'s folder below the mount up to the mount's own.
void TakeUpwards(const Mount& mount, const std::string& group, absl::string_view root,
                 std::initializer_list<const char*> files, std::vector<MemoryBound>* bounds) {
  std::string below = group;
  if (mount.group != "/") {
    const bool inside = group == mount.group || absl::StartsWith(group, absl::StrCat(mount.group, "/"));
    below = inside ? group.substr(mount.group.size()) : "";
  }
  while (!below.empty() && below.back() == '/') below.pop_back();
  while (true) {
    for (const char* file : files) {
      const std::string path = absl::StrCat(mount.folder, below, "/", file);
      const int64_t bytes = ReadLimit(absl::StrCat(root, path));
      if (bytes > 0) bounds->push_back({bytes, absl::StrCat("cgroup limit ", path), false, true});
    }
    const size_t slash = below.rfind('/');
    if (below.empty() || slash == std::string::npos) return;
    below.resize(slash);
  }
}

}  // namespace

std::vector<MemoryBound> CgroupMemoryBounds(const MachineSource& source) {
  const std::string groups = ReadText(source.root + "/proc/self/cgroup");
  const std::string mountinfo = ReadText(source.root + "/proc/self/mountinfo");
  std::vector<MemoryBound> bounds;
  for (absl::string_view line : absl::StrSplit(groups, '\n', absl::SkipEmpty())) {
    // "0::/user.slice" (v2), "4:memory:/docker/abc" (v1).
    const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    const bool version_2 = fields[1].empty();
    const std::vector<std::string> controllers = absl::StrSplit(fields[1], ',');
    if (!version_2 && std::find(controllers.begin(), controllers.end(), "memory") == controllers.end()) continue;
    for (const Mount& mount : MountsOf(mountinfo, version_2)) {
      if (version_2) {
        TakeUpwards(mount, fields[2], source.root, {"memory.max", "memory.high"}, &bounds);
      } else {
        TakeUpwards(mount, fields[2], source.root, {"memory.limit_in_bytes"}, &bounds);
      }
    }
  }
  return bounds;
}

}  // namespace stowage
