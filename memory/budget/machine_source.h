// What of this process and machine budgets are read from; tests put their own in its place.
#ifndef STOWAGE_MEMORY_BUDGET_MACHINE_SOURCE_H_
#define STOWAGE_MEMORY_BUDGET_MACHINE_SOURCE_H_

#include <cstdlib>
#include <functional>
#include <string>

namespace stowage {

struct MachineSource {
  // Put before /proc, /sys and what /proc/self/mountinfo names. A test's folder with files of its own, or nothing.
  std::string root;
  // The value of a variable, null if it is not set.
  std::function<const char*(const char* name)> variable = [](const char* name) { return std::getenv(name); };
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_BUDGET_MACHINE_SOURCE_H_
