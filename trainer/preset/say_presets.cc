#include "trainer/preset/say_presets.h"

#include <algorithm>
#include <cstdint>

#include "trainer/preset/preset.h"

namespace stowage {

std::vector<std::string> SayPresets(const Config& config, const MachineMemory& machine, int ranks_on_host) {
  if (config.preset.empty()) return {};
  PresetRequest request;
  request.names = config.preset;
  request.layers = config.model.layers;
  request.context = config.model.context;
  // Limits of each process (ulimit) leave the host more than one process may use.
  request.host_bytes =
      std::max(ShareOf(machine, 1).bytes, ShareOf(machine, ranks_on_host).bytes * int64_t{ranks_on_host});
  request.ranks_on_host = ranks_on_host;
  const auto lines = PresetLines(request);
  return lines.ok() ? *lines : std::vector<std::string>{std::string(lines.status().message())};
}

}  // namespace stowage
