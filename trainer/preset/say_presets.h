// PresetLines for a config on this machine.
#ifndef STOWAGE_TRAINER_PRESET_SAY_PRESETS_H_
#define STOWAGE_TRAINER_PRESET_SAY_PRESETS_H_

#include <string>
#include <vector>

#include "memory/budget/machine_memory.h"
#include "trainer/config/config.h"

namespace stowage {

// What rank 0 says at the start. `machine`: what this process may use, a container's limit included; it is the host's
// where limits are the host's, and its ranks divide it. Empty without presets. Thread-safe: no state.
std::vector<std::string> SayPresets(const Config& config, const MachineMemory& machine, int ranks_on_host);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_PRESET_SAY_PRESETS_H_
