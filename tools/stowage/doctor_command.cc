#include <cstdio>
#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "base/status_macros.h"
#include "tools/stowage/command.h"
#include "tools/stowage/found.h"
#include "trainer/doctor/doctor.h"
#include "trainer/run/start.h"

namespace stowage {
namespace {

constexpr char kLesson[] =
    "Says what this machine and a rank on it have: memory and every limit on it with where it comes from, cores, NUMA\n"
    "nodes, huge pages, disks, GPUs, MPI; and what to change, where something is wrong. Under a launcher, for each "
    "host.\n"
    "\n"
    "  stowage doctor\n"
    "  mpirun -n 2 stowage doctor         what each of two ranks gets\n"
    "  stowage doctor --json              for programs; sizes in bytes\n";

int Run(DoctorOptions options) {
  options.started_on = StartedOn();  // before the ranks are given their cores
  options.cuda_driver = CudaDriver();
  return StartAndRun(StartRequest(), [&](Communicator& communicator, const ThreadPlan& threads, ExitCode*) {
    const absl::StatusOr<std::string> report = DoctorReport(communicator, threads, options);
    if (report.ok()) std::fputs(report->c_str(), stdout);
    return report.status();
  });
}

}  // namespace

Command DoctorCommand() {
  return {"doctor", "Say what this machine gives a rank, and what to change", kLesson,
          [](CLI::App& app) -> std::function<int()> {
            auto options = std::make_shared<DoctorOptions>();
            app.add_option("--run-dir", options->run_dir, "Folder whose disk is looked at; default: runs");
            app.add_flag("--json", options->json, "Print JSON");
            return [options] { return Run(*options); };
          }};
}

}  // namespace stowage
