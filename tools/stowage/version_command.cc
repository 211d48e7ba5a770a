#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/base/config.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/exit_code.h"
#include "hwy/highway.h"
#include "isa-l.h"
#include "kernels/gemm.h"
#include "nlohmann/json.hpp"
#include "sharding/launch.h"
#include "tools/stowage/command.h"
#include "tools/stowage/found.h"
#include "trainer/run/speak.h"
#include "tools/stowage/version.h"
#include "trainer/run/process.h"

namespace stowage {
namespace {

constexpr char kLesson[] =
    "Says what this program is made of and what it finds on this machine. Put it into bug reports.\n"
    "\n"
    "  stowage version\n";

// The version that a library does not tell, with the file that is loaded.
std::string WithFile(const std::string& version, const std::string& library) {
  const std::string file = LoadedLibrary(library);
  if (file.empty()) return version;
  return version.empty() ? file : absl::StrCat(version, "  ", file);
}

std::string AbseilVersion() {
#ifdef ABSL_LTS_RELEASE_VERSION
  return absl::StrCat(ABSL_LTS_RELEASE_VERSION, ".", ABSL_LTS_RELEASE_PATCH_LEVEL);
#else
  return "not a release";
#endif
}

int Run() {
  if (!IsFirstRank()) return kExitOk;
  const std::vector<std::pair<const char*, std::string>> lines = {
      {"stowage", kVersion},
      {"LibTorch", WithFile(LibTorchVersion(), "libtorch_cpu.so")},
      {"MPI", WithFile(MpiVersion(), "libmpi.so")},
      {"abseil", WithFile(AbseilVersion(), "libabsl_base.so")},
      {"yaml-cpp", WithFile("", "libyaml-cpp.so")},
      {"Highway", WithFile(absl::StrCat(HWY_MAJOR, ".", HWY_MINOR, ".", HWY_PATCH), "libhwy.so")},
      {"Highway targets", HighwayTargets()},
      {"ISA-L",
       WithFile(absl::StrCat(ISAL_MAJOR_VERSION, ".", ISAL_MINOR_VERSION, ".", ISAL_PATCH_VERSION), "libisal.so")},
      {"oneDNN", WithFile(kernels::GemmLibraryVersion(), "libdnnl.so")},
      {"nlohmann-json",
       absl::StrCat(NLOHMANN_JSON_VERSION_MAJOR, ".", NLOHMANN_JSON_VERSION_MINOR, ".", NLOHMANN_JSON_VERSION_PATCH)},
      {"CLI11", CLI11_VERSION},
      {"compiler", absl::StrCat("g++ ", __VERSION__)},
      {"CPU", absl::StrCat(CpuKind(), ", ", Cores())},
      {"CUDA driver", CudaDriver()},
  };
  for (const auto& [name, value] : lines) std::fputs(absl::StrFormat("%-16s %s\n", name, value).c_str(), stdout);
  return kExitOk;
}

}  // namespace

Command VersionCommand() {
  return {"version", "Say what the program is made of and what it finds here", kLesson,
          [](CLI::App&) -> std::function<int()> { return Run; }};
}

}  // namespace stowage
