// Presets: sets of figures by kind of model, by memory of the machine, and for production.
//
//   transformer  layers / 3 spans to recompute, attention by chunks of min(512, context) keys, flash attention above
//                1024 tokens, a pool of 4 GiB
//   cnn          2 spans to recompute, a pool of 2 GiB
//   rnn          nothing recomputed, a pool of 1 GiB, sequences in chunks of 100
//   by_memory    64 GB and more: a pool of 8 GiB, chunks of 1024, 2 spans; 32 GB and more: 4 GiB, 512, 4;
//                else 2 GiB, 256, 8
//   production   pool and recompute on, the pools together half of the memory
//
// Of several, by_memory is stronger than a kind of model, and production than by_memory, in whatever order they stand.
// Pools and memory are of a host, divided by the ranks on it. GB are 10^9 bytes, so that a machine sold with 64 GB is
// one, although its kernel keeps some.
//
// What can be acted upon today is one key: under production memory.host is 50 % where a file does not say (trainer/config/load.cc). The
// rest is computed, and said not to be in force, until there are keys for it. Pure functions; thread-safe.
#ifndef STOWAGE_TRAINER_PRESET_PRESET_H_
#define STOWAGE_TRAINER_PRESET_PRESET_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace stowage {

// What production makes of memory.host, in percent of what a rank may use.
inline constexpr double kProductionPercent = 50.0;

struct PresetRequest {
  std::vector<std::string> names;
  int64_t layers = 0;
  int64_t context = 0;
  int64_t host_bytes = 0;  // what all ranks of this host may use together: a container's limit if there is one
  int ranks_on_host = 1;
};

// nullopt: the presets say nothing of it.
struct PresetFigures {
  std::optional<int64_t> recompute_spans;  // 0: nothing is recomputed
  std::optional<bool> recompute;
  std::optional<int64_t> attention_chunk;  // tokens
  std::optional<bool> flash;
  std::optional<int64_t> sequence_chunk;  // tokens
  std::optional<int64_t> pool_bytes;      // of one rank
};

const std::vector<std::string>& PresetNames();

// InvalidArgument: no such preset (the nearest is named), or two for kinds of models.
absl::Status CheckPresets(const std::vector<std::string>& names);
absl::StatusOr<PresetFigures> FiguresOf(const PresetRequest& request);

// What rank 0 says at the start: what the presets ask for, and what of it is not in force. None without presets.
absl::StatusOr<std::vector<std::string>> PresetLines(const PresetRequest& request);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_PRESET_PRESET_H_
