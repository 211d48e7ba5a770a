#include "sharding/launcher_process.h"

#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "sharding/launcher.h"

namespace stowage {

std::optional<pid_t> LauncherProcess() {
  static const std::set<std::string>* const kNames = new std::set<std::string>{
      "mpirun", "mpirun.openmpi", "mpiexec", "mpiexec.openmpi", "orterun", "orted", "prterun", "prted"};
  pid_t pid = getppid();
  for (int depth = 0; depth < 16 && pid > 1; ++depth) {
    // "pid (name) state ppid ...": a name may hold spaces and brackets, so the last bracket counts.
    std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
    const std::string stat((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    const size_t open = stat.find('(');
    const size_t close = stat.rfind(')');
    if (open == std::string::npos || close == std::string::npos || close + 4 >= stat.size()) return std::nullopt;
    if (kNames->count(stat.substr(open + 1, close - open - 1)) > 0) return pid;
    pid = static_cast<pid_t>(strtol(stat.c_str() + close + 4, nullptr, 10));
  }
  return std::nullopt;
}

std::optional<pid_t> EndAnnouncer() {
  if (!AnnouncesEndBySigcont([](const char* name) -> const char* { return getenv(name); })) return std::nullopt;
  return LauncherProcess();
}

}  // namespace stowage
