#include "trainer/calibration/find_machine.h"

#include <cstdlib>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "trainer/calibration/shipped_machine.h"

namespace stowage {
namespace {

FoundMachine Found(MachineFile file, const std::string& path, const MachineIdentity& here) {
  FoundMachine found;
  const std::vector<std::string> differences = Differences(file.machine, here);
  if (differences.empty()) {
    found.source = Source::kMeasured;
    found.name = absl::StrCat("this machine (measured ", file.date, ")");
  } else {
    found.name = absl::StrCat(path, " (", file.machine.cpu, ", ", file.date, ")");
    found.remark = absl::StrCat(path, " is of another machine (", absl::StrJoin(differences, "; "),
                                "): what it says of outside bytes is an estimate here");
  }
  found.file = std::move(file);
  return found;
}

}  // namespace

absl::StatusOr<std::string> DefaultMachinePath() {
  const char* const xdg = std::getenv("XDG_CACHE_HOME");
  if (xdg != nullptr && xdg[0] != '\0') return absl::StrCat(xdg, "/stowage/machine.json");
  const char* const home = std::getenv("HOME");
  if (home != nullptr && home[0] != '\0') return absl::StrCat(home, "/.cache/stowage/machine.json");
  return absl::FailedPreconditionError(
      "neither XDG_CACHE_HOME nor HOME is set: say with --machine where the file of calibration is");
}

absl::StatusOr<MachineFile> ShippedMachine() {
  return ParseMachineFile(kShippedMachine, "the shipped file of calibration");
}

absl::StatusOr<FoundMachine> FindMachine(const std::string& path, const MachineIdentity& here) {
  if (!path.empty()) {
    STOWAGE_ASSIGN_OR_RETURN(MachineFile file, ReadMachineFile(path));
    return Found(std::move(file), path, here);
  }
  std::string why = "this machine was not calibrated (stowage calibrate does)";
  const absl::StatusOr<std::string> standard = DefaultMachinePath();
  if (standard.ok()) {
    absl::StatusOr<MachineFile> file = ReadMachineFile(*standard);
    if (file.ok()) {
      FoundMachine found = Found(*std::move(file), *standard, here);
      if (found.source == Source::kMeasured) return found;
      why = absl::StrCat(*standard, " is of another machine (",
                         absl::StrJoin(Differences(found.file.machine, here), "; "),
                         ") and not used; run stowage calibrate");
    } else if (!absl::IsNotFound(file.status())) {
      return file.status();
    }
  }
  STOWAGE_ASSIGN_OR_RETURN(MachineFile shipped, ShippedMachine());
  FoundMachine found;
  found.name = absl::StrCat("a machine like the shipped one (", shipped.machine.cpu, ")");
  found.remark = absl::StrCat(why, ": outside bytes are estimates, from a file that comes with Stowage");
  found.file = std::move(shipped);
  return found;
}

}  // namespace stowage
