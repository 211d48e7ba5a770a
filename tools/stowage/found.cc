#include "tools/stowage/found.h"

#include <dlfcn.h>
#include <sched.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "hwy/targets.h"

namespace stowage {
namespace {

// The few entry points of the CUDA driver that tell what is there, by their documented C signatures: its header is not
// needed to build this program.
struct CudaEntryPoints {
  int (*init)(unsigned) = nullptr;
  int (*driver_version)(int*) = nullptr;
  int (*device_count)(int*) = nullptr;
  int (*device_name)(char*, int, int) = nullptr;

  explicit CudaEntryPoints(void* library) {
    Find(library, "cuInit", init);
    Find(library, "cuDriverGetVersion", driver_version);
    Find(library, "cuDeviceGetCount", device_count);
    Find(library, "cuDeviceGetName", device_name);
  }
  bool complete() const {
    return init != nullptr && driver_version != nullptr && device_count != nullptr && device_name != nullptr;
  }

 private:
  template <typename F>
  static void Find(void* library, const char* name, F& function) {
    function = reinterpret_cast<F>(dlsym(library, name));
  }
};

std::string DescribeCuda(const CudaEntryPoints& cuda) {
  int version = 0;
  if (!cuda.complete() || cuda.driver_version(&version) != 0) return "libcuda.so.1 found, but it does not answer";
  std::string text = absl::StrCat("CUDA ", version / 1000, ".", version % 1000 / 10);
  const int error = cuda.init(0);
  int devices = 0;
  if (error != 0 || cuda.device_count(&devices) != 0) {
    return absl::StrCat(text, ", no usable device (cuInit says ", error, ")");
  }
  absl::StrAppend(&text, ", ", devices, devices == 1 ? " device" : " devices");
  for (int device = 0; device < devices; ++device) {
    char name[128] = {};
    // Devices are numbered from 0; their handles are those numbers.
    if (cuda.device_name(name, sizeof(name) - 1, device) == 0) absl::StrAppend(&text, device == 0 ? ": " : ", ", name);
  }
  return text;
}

}  // namespace

std::string LoadedLibrary(const std::string& name) {
  std::ifstream maps("/proc/self/maps");
  const std::string wanted = absl::StrCat("/", name);
  for (std::string line; std::getline(maps, line);) {
    const size_t path = line.find('/');
    if (path == std::string::npos) continue;
    const std::string file = line.substr(path);
    if (absl::StartsWith(file.substr(file.rfind('/')), wanted)) return file;
  }
  return "";
}

std::string HighwayTargets() {
  std::string names;
  const int64_t supported = hwy::SupportedTargets();
  for (int64_t bit = 1; bit > 0 && bit <= supported; bit <<= 1) {  // the best has the lowest bit
    if ((supported & bit) != 0) absl::StrAppend(&names, names.empty() ? "" : " ", hwy::TargetName(bit));
  }
  return names;
}

std::string Cores() {
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  cpu_set_t mine;
  CPU_ZERO(&mine);
  // Fails beyond 1024 processors, where the mask would have to be larger.
  const bool known = sched_getaffinity(0, sizeof(mine), &mine) == 0;
  return absl::StrCat(known ? CPU_COUNT(&mine) : online, " of ", online, " cores");
}

std::string CudaDriver() {
  void* const library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return "not found (no libcuda.so.1)";
  const std::string text = DescribeCuda(CudaEntryPoints(library));
  dlclose(library);
  return text;
}

}  // namespace stowage
