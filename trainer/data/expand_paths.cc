#include "trainer/data/expand_paths.h"

#include <glob.h>

#include <filesystem>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace stowage {

absl::StatusOr<std::vector<std::string>> ExpandPaths(const std::vector<std::string>& paths, const char* key) {
  std::vector<std::string> expanded;
  for (const std::string& path : paths) {
    if (path.find_first_of("*?[") == std::string::npos || std::filesystem::exists(path)) {
      expanded.push_back(path);
      continue;
    }
    glob_t found = {};
    absl::Cleanup free = [&] { globfree(&found); };
    if (glob(path.c_str(), 0, nullptr, &found) != 0) {
      return absl::NotFoundError(absl::StrCat(key, ": no file matches ", path));
    }
    expanded.insert(expanded.end(), found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  return expanded;
}

}  // namespace stowage
