// memory, sharding, checkpoint.
#include "trainer/config/schema_sections.h"

namespace stowage {
namespace {

Codec<std::string> Tier() { return Choice({"device", "host", "disk", "auto"}); }

}  // namespace

std::vector<Field> MachineFields() {
  return {
      // memory
      Declare(STOWAGE_FIELD(memory.device), Budget(), "bytes per rank", Effect::kSpeed,
              "Most that a rank takes on its device. auto: no bound.")
          .Built({"auto"}),
      Declare(STOWAGE_FIELD(memory.host), Budget(), "bytes per rank", Effect::kSpeed,
              "Most that a rank holds in the host's memory: heap, code, tensors and the shared windows that it owns. A "
              "step that needs more ends in an error before the bytes are taken. A share is of what this rank may use: "
              "the tightest of cgroup, ulimit and batch-system limits, else the machine's memory, divided by the ranks "
              "of the host. auto: what this rank may use where such a limit exists, else no bound."),
      Declare(STOWAGE_FIELD(memory.warning_threshold), Number({0.0, 1.0, true}), "share of memory.host",
              Effect::kRecord, "Said once when the peak reaches it. 1: never."),
      Declare(STOWAGE_FIELD(memory.critical_threshold), Number({0.0, 1.0, true}), "share of memory.host",
              Effect::kSpeed,
              "Said once when the peak reaches it; from then on free heap memory goes back to the system every few "
              "steps, which costs page faults. 1: never."),
      Declare(STOWAGE_FIELD(memory.recompute), Recompute(), "", Effect::kSpeed,
              "Which activations are computed again in backward and not kept: less memory, up to a third more time, "
              "the same bits. every: each segment from its own inputs; layer: each layer; {every: k}: spans of k "
              "segments; sqrt: of n segments sqrt(n) spans; sqrt2: the same again within each span; attention, ffn: "
              "those segments only; a list: segments with these names, * for any letters. auto: none."),
      Declare(STOWAGE_FIELD(memory.allocator), Choice({"online", "planned"}), "", Effect::kSpeed,
              "Where a step's tensors lie. online: where the pool has room when they are asked for. planned: as packed "
              "from one recorded step into one arena, with the pool for what was not foreseen; the same bits."),
      Declare(STOWAGE_FIELD(memory.trace), Optional("none", WholeNumber(1)), "steps", Effect::kRecord,
              "How many of the first steps go into memory.trace.json (for chrome://tracing and ui.perfetto.dev) and "
              "memory.csv: what each instruction held. Costs about 1 KiB an instruction until it is written."),

      // memory.disk
      Declare("memory.disk.limit", STOWAGE_MEMBER(memory.disk_limit), Budget(), "bytes per rank", Effect::kSpeed,
              "Most that a rank puts on disk. auto: no bound.")
          .Built({"auto"}),
      Declare("memory.disk.path", STOWAGE_MEMBER(memory.disk_path), EmptyAs("none", Path()), "", Effect::kSpeed,
              "Folder on a fast local disk; ${NAME} is put in.")
          .Built({"none"}),

      // memory.offload
      Declare(STOWAGE_FIELD(memory.offload.optimizer), Tier(), "", Effect::kSpeed,
              "Where optimizer state lives. auto: device.")
          .Built({"device"}),
      Declare(STOWAGE_FIELD(memory.offload.gradients), Tier(), "", Effect::kSpeed,
              "Where gradients wait for the update. auto: device.")
          .Built({"device"}),
      Declare(STOWAGE_FIELD(memory.offload.parameters), Tier(), "", Effect::kSpeed,
              "Where parameters live between uses. auto: device.")
          .Built({"device"}),
      Declare(STOWAGE_FIELD(memory.offload.activations), Tier(), "", Effect::kSpeed,
              "Where kept activations wait for backward. auto: device.")
          .Built({"device"}),

      // sharding
      Declare(STOWAGE_FIELD(sharding.zero), Optional("auto", WholeNumber(0, 3)), "stage", Effect::kSpeed,
              "What is split over ranks: 0 nothing, 1 optimizer state, 2 gradients too, 3 parameters too. auto: 0."),
      Declare(STOWAGE_FIELD(sharding.gather_ahead), WholeNumber(0, 1000), "groups", Effect::kSpeed,
              "zero 3: how many groups of parameters (layers) are gathered before they are needed; each is held whole "
              "then. 0: ranks wait for every one."),
      Declare(STOWAGE_FIELD(sharding.backend), Choice({"auto", "mpi", "shared_memory", "nccl"}), "", Effect::kSpeed,
              "What carries data between ranks. auto: mpi under a launcher, nothing for one rank alone. shared_memory: "
              "ranks of one host through memory that they share; `stowage plan` does not count its windows yet.")
          .Built({"auto", "mpi", "shared_memory"}),

      // checkpoint
      Declare(STOWAGE_FIELD(checkpoint.every), Optional("none", WholeNumber(1)), "steps", Effect::kRecord,
              "Steps between saves."),
      Declare(STOWAGE_FIELD(checkpoint.every_minutes), Optional("none", Number({0.0, 1e6, true})), "minutes",
              Effect::kRecord, "Minutes between saves, by rank 0's clock; with every, whichever comes first."),
      Declare(STOWAGE_FIELD(checkpoint.keep), WholeNumber(1), "checkpoints", Effect::kRecord,
              "The newest ones that are kept; older ones are deleted after a save."),
  };
}

}  // namespace stowage
