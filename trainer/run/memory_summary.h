// The memory table of a run that has ended.
#ifndef STOWAGE_TRAINER_RUN_MEMORY_SUMMARY_H_
#define STOWAGE_TRAINER_RUN_MEMORY_SUMMARY_H_

#include "absl/status/statusor.h"
#include "memory/peaks.h"
#include "sharding/communicator.h"
#include "trainer/metrics/memory_table.h"

namespace stowage {

// From what ProcessPeakSampler has seen; `peaks`: of tensors, over the whole run. Where the system does not let itself
// be measured, the table says so. Collective: the rank with the most is looked for. Errors: the communicator's.
absl::StatusOr<MemoryTable> SummarizeMemory(const Peaks& peaks, Communicator& communicator);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_MEMORY_SUMMARY_H_
