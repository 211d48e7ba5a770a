// Process-wide state, set once and here: allocator, thread count, malloc's thresholds.
#ifndef STOWAGE_TRAINER_RUN_PROCESS_H_
#define STOWAGE_TRAINER_RUN_PROCESS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "memory/ledger.h"
#include "memory/ledger_marks.h"
#include "memory/outside/peak_sampler.h"

namespace stowage {

// Starts the team of threads that computes (signals that ask to stop are blocked there). Installs the counting
// allocator and sets the number of threads LibTorch computes with. Call it before the first tensor is made; a second
// call only changes the thread count. Not thread-safe. ResourceExhausted: no address space for the allocator's pool
// (ulimit -v); another call says the same. FailedPrecondition: another library has taken the allocator's place.
absl::Status SetUpProcess(int threads);

// What the installed allocator counts into.
Ledger& ProcessLedger();
// Its high-water marks: nobody else takes or resets its peaks.
LedgerMarks& ProcessMarks();

// What the process holds in RAM at its most. It looks as long as LibTorch's tensors come and go, from SetUpProcess on.
PeakSampler& ProcessPeakSampler();
// The step that is being made, for the sampler to name its moment by; 0: none yet.
void SetProcessStep(int64_t step);

// LibTorch's version and this CPU's kind: with the thread count, what a promise of equal bits rests on.
std::string LibTorchVersion();
std::string CpuKind();

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_PROCESS_H_
