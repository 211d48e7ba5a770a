#include "tests/memory/drift.h"

#include <malloc.h>

#include <memory>

#include "base/status_macros.h"
#include "memory/process_memory.h"
#include "sharding/solo_communicator.h"
#include "tests/memory/made_up_tokens.h"
#include "trainer/run/process.h"
#include "trainer/run/train_run.h"

namespace stowage {
namespace {

constexpr int64_t kContext = 12;

Held Look() {
  Held held;
  held.tensors = ProcessLedger().total_live();
  const struct mallinfo2 info = mallinfo2();
  held.heap = static_cast<int64_t>(info.uordblks + info.hblkhd);
  const absl::StatusOr<ProcessMemory> memory = ReadProcessMemory();
  held.rss = memory.ok() ? memory->rss : -1;
  return held;
}

}  // namespace

absl::StatusOr<Drift> MeasureDrift(int64_t steps, const std::string& precision, const std::string& folder) {
  STOWAGE_RETURN_IF_ERROR(SetUpProcess(/*threads=*/1));
  constexpr int64_t kMicroBatches = 2;
  Drift drift;
  const int64_t first = steps / 2, last = steps - 1;
  drift.steps = last - first;
  OwnKinds own;
  own.data["made_up"] = [&](const DataConfig&) -> absl::StatusOr<Data> {
    Data data;
    data.train = std::make_unique<MadeUpTokens>(kContext, [&](int64_t reads) {
      if (reads == first * kMicroBatches) drift.early = Look();
      if (reads == last * kMicroBatches) drift.late = Look();
    });
    return data;
  };
  Config config;
  config.precision = precision;
  config.data.source = "made_up";
  config.model.layers = 2;
  config.model.width = 16;
  config.model.heads = 2;
  config.model.context = kContext;
  config.model.dropout = 0.1;
  config.train.steps = steps;
  config.train.micro_batch = 2;
  config.train.global_batch = 2 * kMicroBatches;
  TrainOptions options;
  options.run_dir = folder;
  options.quiet = true;
  SoloCommunicator solo;
  STOWAGE_RETURN_IF_ERROR(Train(config, solo, options, own).status());
  return drift;
}

}  // namespace stowage
