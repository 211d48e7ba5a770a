// What this process and this machine have: libraries that are loaded, drivers that could be.
#ifndef STOWAGE_TOOLS_STOWAGE_FOUND_H_
#define STOWAGE_TOOLS_STOWAGE_FOUND_H_

#include <string>

namespace stowage {

// The file of a loaded shared library whose name begins so ("libyaml-cpp"): "/usr/lib/.../libyaml-cpp.so.0.7.0", with
// the version in its name where it has one. Empty if none is loaded (or it is linked in).
std::string LoadedLibrary(const std::string& name);

// Instruction sets that our kernels may use here, best first: "AVX3_ZEN4 AVX3 AVX2 SSE4".
std::string HighwayTargets();

// Cores that this process may run on, of those that the machine has: "2 of 2 cores".
std::string Cores();

// "CUDA 13.0, 1 device: NVIDIA H200" or "not found (no libcuda.so.1)". Opens the driver by dlopen: the
// program is not linked with it. Thread-safe.
std::string CudaDriver();

}  // namespace stowage

#endif  // STOWAGE_TOOLS_STOWAGE_FOUND_H_
