#include <cstdio>
#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/exit_code.h"
#include "base/status_macros.h"
#include "sharding/launch.h"
#include "tools/stowage/command.h"
#include "trainer/calibration/calibrate.h"
#include "trainer/calibration/find_machine.h"
#include "trainer/run/speak.h"
#include "trainer/run/start.h"

namespace stowage {
namespace {

constexpr char kLesson[] =
    "Measures what a process of this program holds besides tensors on this machine: libraries, heap, threads, MPI. It\n"
    "trains small models in processes of their own, for some ten seconds, and writes what it finds for plan and train\n"
    "to read. Once per machine: a file that is of this machine already is kept.\n"
    "\n"
    "  stowage calibrate\n"
    "  stowage calibrate --force                      measure again\n"
    "  stowage calibrate --machine node17.json        write elsewhere, for plan --machine node17.json\n";

struct Arguments {
  std::string machine;
  bool force = false;
};

void Print(const MachineFile& file, const std::string& path) {
  std::printf("%s, %lld cores; LibTorch %s; %s\n", file.machine.cpu.c_str(), static_cast<long long>(file.machine.cores),
              file.machine.libtorch.c_str(), file.machine.mpi.c_str());
  for (const CalibratedCase& c : file.cases) {
    int64_t total = 0;
    for (const auto& [line, bytes] : c.bytes) total += bytes;
    std::printf("  %-10s %-5s %lld rank%s  %7.1f MiB outside of tensors (measured)\n",
                c.recurrent ? "recurrent" : "plain", c.precision.c_str(), static_cast<long long>(c.ranks),
                c.ranks == 1 ? " " : "s", static_cast<double>(total) / (1 << 20));
  }
  std::printf("in %s, of %s\n", path.c_str(), file.date.c_str());
}

absl::Status Run(const Arguments& arguments) {
  std::string path = arguments.machine;
  if (path.empty()) {
    STOWAGE_ASSIGN_OR_RETURN(path, DefaultMachinePath());
  }
  if (!arguments.force) {
    const absl::StatusOr<MachineFile> there = ReadMachineFile(path);
    if (there.ok() && Differences(there->machine, ThisMachine()).empty()) {
      std::printf("this machine was measured already; --force measures again\n");
      Print(*there, path);
      return absl::OkStatus();
    }
    // Another machine's named file is somebody's; what is broken, or lies in the cache of old, is replaced.
    if (there.ok() && !arguments.machine.empty()) {
      return absl::AlreadyExistsError(
          absl::StrCat(path, " is of another machine (", there->machine.cpu, "); --force replaces it"));
    }
  }
  STOWAGE_ASSIGN_OR_RETURN(const Calibration calibration, Calibrate([](const std::string& what) {
                             std::printf("%s\n", what.c_str());
                             std::fflush(stdout);
                           }));
  STOWAGE_RETURN_IF_ERROR(WriteMachineFile(path, calibration.file));
  for (const std::string& remark : calibration.remarks) Complain(remark);
  Print(calibration.file, path);
  return absl::OkStatus();
}

}  // namespace

Command CalibrateCommand() {
  return {"calibrate", "Measure once what this machine's libraries take beside tensors", kLesson,
          [](CLI::App& app) -> std::function<int()> {
            auto arguments = std::make_shared<Arguments>();
            app.add_option("--machine", arguments->machine,
                           "File to write; default: $XDG_CACHE_HOME/stowage/machine.json, else under ~/.cache");
            app.add_flag("--force", arguments->force, "Measure although there is a file");
            return [arguments]() -> int {
              if (UnderLauncher()) {
                return FailTogether(
                    absl::FailedPreconditionError(
                        "stowage calibrate starts its own ranks: run it once on a machine, without mpirun or srun"),
                    kExitUsage);
              }
              const absl::Status status = Run(*arguments);
              if (status.ok()) return kExitOk;
              Complain(status.message());
              return kExitFailure;
            };
          }};
}

}  // namespace stowage
