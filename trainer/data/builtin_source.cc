#include "trainer/data/builtin_source.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "base/file.h"
#include "base/status_macros.h"

extern char** environ;

namespace stowage {
namespace {

struct Builtin {
  const char* name;
  const char* package;     // of Debian
  const char* command[4];  // ends with null
  int64_t bytes;           // of its text, to notice another edition or an output cut short
};

constexpr Builtin kBuiltins[] = {
    {"kjv", "bible-kjv", {"bible", "-f", "Gen1:1-Rev22:21", nullptr}, 4404412},
};

struct BuiltinImages {
  const char* name;
  const char* package;
  const char* folder;
};

constexpr BuiltinImages kBuiltinImages[] = {
    {"fashion-mnist", "dataset-fashion-mnist", "/usr/share/datasets/fashion-mnist"},
};

const BuiltinImages* FindImages(const std::string& name) {
  for (const BuiltinImages& builtin : kBuiltinImages) {
    if (name == builtin.name) return &builtin;
  }
  return nullptr;
}

const Builtin* Find(const std::string& name) {
  for (const Builtin& builtin : kBuiltins) {
    if (name == builtin.name) return &builtin;
  }
  return nullptr;
}

// Levenshtein: insertions, deletions and changes of one character that make `a` into `b`.
int EditDistance(const std::string& a, const std::string& b) {
  std::vector<int> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    int diagonal = std::exchange(row[0], static_cast<int>(i));
    for (size_t j = 1; j <= b.size(); ++j) {
      const int change = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({change, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

// The built-in that was meant, or "": two slips are forgiven.
std::string Nearest(const std::string& name) {
  std::string nearest;
  int least = 3;
  for (const std::string& builtin : BuiltinSourceNames()) {
    const int distance = EditDistance(name, builtin);
    if (distance < least) {
      least = distance;
      nearest = builtin;
    }
  }
  return nearest;
}

// Runs the command with its output in `path`; returns the status that waitpid gives.
absl::StatusOr<int> RunInto(const Builtin& builtin, const std::string& path) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  pid_t child = 0;
  // posix_spawn and not fork: under Open MPI a forked copy of this process would share pinned network buffers.
  const int error =
      posix_spawnp(&child, builtin.command[0], &actions, nullptr, const_cast<char* const*>(builtin.command), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error == ENOENT) {
    return absl::FailedPreconditionError(
        absl::StrCat("data.source: ", builtin.name, " is printed by the program `", builtin.command[0],
                     "`, which is not on PATH; install Debian's package ", builtin.package, " (apt-get install ",
                     builtin.package, "), or give your own text with data.train"));
  }
  if (error != 0) return FileError(builtin.command[0], "run", error);
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return FileError(builtin.command[0], "wait for", errno);
  }
  return status;
}

}  // namespace

std::vector<std::string> BuiltinSourceNames() {
  std::vector<std::string> names;
  for (const Builtin& builtin : kBuiltins) names.push_back(builtin.name);
  for (const BuiltinImages& builtin : kBuiltinImages) names.push_back(builtin.name);
  return names;
}

absl::Status CheckBuiltinSource(const std::string& name) {
  if (Find(name) != nullptr || IsBuiltinImages(name)) return absl::OkStatus();
  const std::vector<std::string> names = BuiltinSourceNames();
  const std::string nearest = Nearest(name);
  return absl::InvalidArgumentError(absl::StrCat("data.source: '", name, "' is not built-in data; ",
                                                 nearest.empty() ? "" : absl::StrCat("did you mean ", nearest, "? "),
                                                 "There is: ", absl::StrJoin(names, ", "),
                                                 ". Your own files go in data.train"));
}

bool IsBuiltinImages(const std::string& name) { return FindImages(name) != nullptr; }

absl::StatusOr<BuiltinImageFiles> FindBuiltinImages(const std::string& name) {
  const BuiltinImages* builtin = FindImages(name);
  STOWAGE_CHECK(builtin != nullptr) << name;
  const auto path = [&](const char* file) { return absl::StrCat(builtin->folder, "/", file); };
  const BuiltinImageFiles files = {{path("train-images-idx3-ubyte.gz"), path("train-labels-idx1-ubyte.gz")},
                                   {path("t10k-images-idx3-ubyte.gz"), path("t10k-labels-idx1-ubyte.gz")}};
  for (const auto* part : {&files.train, &files.validation}) {
    for (const std::string& file : *part) {
      if (PathExists(file)) continue;
      return absl::FailedPreconditionError(
          absl::StrCat("data.source: ", name, " is read from ", file, ", which is not there; install Debian's package ",
                       builtin->package, " (apt-get install ", builtin->package,
                       "), or give such files with data: {train: [images, labels], validation: [images, labels], "
                       "format: idx}"));
    }
  }
  return files;
}

absl::Status WriteBuiltinSource(const std::string& name, const std::string& path) {
  STOWAGE_RETURN_IF_ERROR(CheckBuiltinSource(name));
  if (Find(name) == nullptr) return absl::InvalidArgumentError(absl::StrCat("data.source: ", name, " is no text"));
  const Builtin& builtin = *Find(name);
  STOWAGE_ASSIGN_OR_RETURN(int status, RunInto(builtin, path));
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return absl::DataLossError(absl::StrCat("`", builtin.command[0], "` (package ", builtin.package, ") failed: ",
                                            WIFEXITED(status) ? absl::StrCat("exit status ", WEXITSTATUS(status))
                                                              : absl::StrCat("signal ", WTERMSIG(status)),
                                            "; is the disk of ", path, " full?"));
  }
  STOWAGE_ASSIGN_OR_RETURN(int64_t bytes, FileBytes(path));
  if (bytes != builtin.bytes) {
    return absl::DataLossError(absl::StrCat("`", builtin.command[0], "` (package ", builtin.package, ") printed ",
                                            bytes, " bytes, expected ", builtin.bytes,
                                            ": another edition, or the disk of ", path, " is full"));
  }
  return absl::OkStatus();
}

}  // namespace stowage
