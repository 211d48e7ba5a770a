#include "trainer/run/process.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <c10/core/CPUAllocator.h>
#include <malloc.h>
#include <torch/version.h>

#include <atomic>
#include <csignal>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "kernels/parallel.h"
#include "kernels/scratch.h"
#include "memory/category_scope.h"
#include "memory/counting_allocator.h"
#include "memory/outside/heap.h"
#include "memory/pool/pool.h"
#include "trainer/run/signals.h"

namespace stowage {
namespace {

// Kernels' scratch as tensors' workspace: counted in the ledger, and from the pool.
void* TakeScratch(size_t bytes) {
  const CategoryScope scope(Category::kWorkspace);
  return c10::GetCPUAllocator()->raw_allocate(bytes);
}

void FreeScratch(void* block) { c10::GetCPUAllocator()->raw_deallocate(block); }

std::atomic<int64_t> process_step{0};

std::string Moment() {
  const int64_t step = process_step.load(std::memory_order_relaxed);
  const std::string when = step == 0 ? "before the first step" : absl::StrCat("step ", step);
  const std::string instruction = CurrentInstruction();
  return instruction.empty() ? when : absl::StrCat(when, ", ", instruction);
}

PeakSampler::Pages TensorPages() {
  const PoolStatistics pool = InstalledPool()->Statistics();
  return {pool.live, pool.resident};
}

// Starts the team that computes with this thread, which signals then leave alone: see trainer/run/signals.h.
void StartTeam(int threads) {
  const sigset_t signals = SignalWatch::Signals();
  sigset_t before;
  STOWAGE_CHECK(pthread_sigmask(SIG_BLOCK, &signals, &before) == 0);
  kernels::ParallelFor(threads, /*grain=*/1, /*multiple=*/1, [](int64_t, int64_t) {});
  STOWAGE_CHECK(pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
}

}  // namespace

Ledger& ProcessLedger() {
  static Ledger* const ledger = new Ledger;  // never destroyed: tensors may outlive main
  return *ledger;
}

LedgerMarks& ProcessMarks() {
  static LedgerMarks* const marks = new LedgerMarks(ProcessLedger());
  return *marks;
}

PeakSampler& ProcessPeakSampler() {
  static PeakSampler* const sampler =
      new PeakSampler(ProcessLedger(), &TensorPages, &Moment, ReadHeapUse().in_use_bytes);
  return *sampler;
}

void SetProcessStep(int64_t step) { process_step.store(step, std::memory_order_relaxed); }

absl::Status SetUpProcess(int threads) {
  static const absl::Status* const once = [] {
    // What oneDNN packs fp32 products into it takes from malloc and frees in every call, megabytes at a time. By default
    // glibc maps and unmaps each one, and the kernel zeroes every page anew: with these thresholds they stay in the
    // heap ("heap, idle" in a run's table) and are reused as they are.
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    // A write past `ulimit -f` shall be an error that is said, not the end of the process.
    std::signal(SIGXFSZ, SIG_IGN);
    const absl::Status installed = InstallCountingAllocator(&ProcessLedger());
    if (!installed.ok()) return new absl::Status(installed);
    SetFreeWatch(&ProcessPeakSampler());
    kernels::SetScratchFunctions({&TakeScratch, &FreeScratch});
    return new absl::Status();
  }();
  STOWAGE_RETURN_IF_ERROR(*once);
  at::set_num_threads(threads);
  StartTeam(threads);
  return absl::OkStatus();
}

std::string LibTorchVersion() { return TORCH_VERSION; }

std::string CpuKind() {
  std::string model = "unknown CPU";
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) {
      model = line.substr(colon + 2);
      break;
    }
  }
  return absl::StrCat(model, ", ", at::get_cpu_capability());
}

}  // namespace stowage
