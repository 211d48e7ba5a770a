// Plays one recorded training step over and over against one allocator, in a process of its own, and prints what it
// measured as one line of JSON. `tools/bench allocations` runs it once for each allocator and round.
//
//   replay_allocations step TRACE --allocator stowage|malloc|libtorch [--write all|none] [--seconds 1]
//   replay_allocations pairs --allocator stowage|pool|malloc [--seconds 1]
//
//   stowage   LibTorch's allocator as Stowage installs it: pool, block header and ledger
//   pool      the pool alone
//   malloc    posix_memalign(64) and free, of whatever library is preloaded
//   libtorch  LibTorch's own allocator, which takes from malloc
//
// With --write all every block is written once, whole. Timed and counted is the steady state: after what the trace has
// before the step, and after two rounds of it.
#include <c10/core/CPUAllocator.h>
#include <malloc.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "base/check.h"
#include "memory/counting_allocator.h"
#include "memory/ledger.h"
#include "memory/pool/pool.h"
#include "memory/process_memory.h"
#include "memory/trace/allocation_trace.h"
#include "memory/trace/repeated_step.h"
#include "nlohmann/json.hpp"

namespace stowage {
namespace {

// The recorder sees the headers of the counting allocator (memory/counting_allocator.h), which are no bytes of tensors.
constexpr int64_t kHeaderBytes = 64;

struct MallocAllocator {
  void* Allocate(size_t bytes) const {
    void* block = nullptr;
    if (posix_memalign(&block, 64, bytes) != 0) return nullptr;
    return block;
  }
  void Free(void* block, size_t) const { std::free(block); }
};

// Whatever LibTorch has been told to use.
struct LibTorchAllocator {
  c10::Allocator* const allocator = c10::GetCPUAllocator();
  void* Allocate(size_t bytes) const { return allocator->raw_allocate(bytes); }
  void Free(void* block, size_t) const { allocator->raw_deallocate(block); }
};

struct PoolAllocator {
  Pool* const pool;
  void* Allocate(size_t bytes) const { return pool->Allocate(bytes); }
  void Free(void* block, size_t bytes) const { pool->Free(block, bytes); }
};

void InstallStowage() {
  static Ledger* const ledger = new Ledger;
  const absl::Status installed = InstallCountingAllocator(ledger);
  STOWAGE_CHECK(installed.ok()) << installed.ToString();
}

double Now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

int64_t MinorFaults() {
  rusage usage;
  STOWAGE_CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
  return usage.ru_minflt;
}

ProcessMemory Memory() {
  const absl::StatusOr<ProcessMemory> memory = ReadProcessMemory();
  STOWAGE_CHECK(memory.ok()) << memory.status().ToString();
  return *memory;
}

// Tensor bytes: without the headers that were recorded with them.
void TakeHeadersOff(std::vector<RepeatedStep::Operation>& operations) {
  for (RepeatedStep::Operation& operation : operations) {
    if (operation.bytes > 0) operation.bytes -= kHeaderBytes;
  }
}

template <typename Allocator>
nlohmann::json PlayStep(const RepeatedStep& step, const Allocator& allocator, bool write, double seconds) {
  std::vector<SlotBlock> blocks(step.slots);
  int64_t rounds = 0;
  const auto allocate = [&](int64_t bytes) {
    void* const block = allocator.Allocate(static_cast<size_t>(bytes));
    STOWAGE_CHECK(block != nullptr) << bytes << " bytes";
    if (write) std::memset(block, static_cast<int>(rounds), static_cast<size_t>(bytes));
    return block;
  };
  const auto free = [&](void* block, int64_t bytes) { allocator.Free(block, static_cast<size_t>(bytes)); };
  const int64_t rss_before = Memory().rss;
  ResetPeakRss().IgnoreError();  // where the system does not let us, the peak is since the start: no less
  Play(step.before, blocks, allocate, free);
  for (int i = 0; i < 2; ++i) {
    Play(step.step, blocks, allocate, free);
    Carry(step, blocks);
  }
  const int64_t faults = MinorFaults();
  const double start = Now();
  double end = start;
  while (rounds < 3 || end - start < seconds) {
    Play(step.step, blocks, allocate, free);
    Carry(step, blocks);
    ++rounds;
    end = Now();
  }
  nlohmann::json out;
  out["minor_faults"] = MinorFaults() - faults;
  out["seconds"] = end - start;
  out["rounds"] = rounds;
  out["pairs"] = rounds * step.allocations;
  out["rss_peak_growth_bytes"] = Memory().peak_rss - rss_before;
  for (const SlotBlock& slot : blocks) {
    if (slot.block != nullptr) allocator.Free(slot.block, static_cast<size_t>(slot.bytes));
  }
  return out;
}

// One block at a time, its first bytes written: what a thread's cache serves.
template <typename Allocator>
nlohmann::json PlayPairs(const Allocator& allocator, double seconds) {
  constexpr size_t kSizes[] = {64, 256, 1000, 4096, 128, 2000, 512, 64};
  constexpr int kPairs = 1 << 16;  // between two looks at the clock
  const double start = Now();
  double end = start;
  int64_t pairs = 0;
  while (end - start < seconds) {
    for (int i = 0; i < kPairs; ++i) {
      const size_t bytes = kSizes[i % 8];
      void* const block = allocator.Allocate(bytes);
      *static_cast<volatile int*>(block) = i;
      allocator.Free(block, bytes);
    }
    pairs += kPairs;
    end = Now();
  }
  return {{"pairs", pairs}, {"seconds", end - start}};
}

struct Arguments {
  std::string trace, allocator, write = "all";
  double seconds = 1.0;
  bool fixed_mmap_threshold = false;
};

nlohmann::json Step(const Arguments& arguments) {
  absl::StatusOr<AllocationTrace> trace = ReadAllocationTrace(arguments.trace);
  absl::StatusOr<RepeatedStep> made = trace.ok() ? RepeatLastStep(*trace) : trace.status();
  if (!made.ok()) {
    std::fprintf(stderr, "replay_allocations: %s\n", made.status().ToString().c_str());
    std::exit(1);
  }
  RepeatedStep step = *std::move(made);
  TakeHeadersOff(step.before);
  TakeHeadersOff(step.step);
  const std::string name = trace->name;
  trace = AllocationTrace();  // so that it is not counted as resident
  const bool write = arguments.write == "all";
  nlohmann::json out = arguments.allocator == "malloc" ? PlayStep(step, MallocAllocator(), write, arguments.seconds)
                                                       : PlayStep(step, LibTorchAllocator(), write, arguments.seconds);
  out["trace"] = name;
  out["pairs_per_step"] = step.allocations;
  out["bytes_per_step"] = step.allocated_bytes - step.allocations * kHeaderBytes;
  out["peak_live_bytes"] = step.peak_live_bytes;  // headers included: 64 bytes a block
  if (arguments.allocator == "stowage") {
    const PoolStatistics pool = InstalledPool()->Statistics();
    out["pool"] = {{"peak_resident_bytes", pool.peak_resident},
                   {"peak_live_bytes", pool.peak_live},
                   {"hit_rate", pool.hit_rate()},
                   {"discarded_bytes", pool.discarded},
                   {"fragmentation", pool.fragmentation()}};
  }
  return out;
}

nlohmann::json Pairs(const Arguments& arguments) {
  if (arguments.allocator == "malloc") return PlayPairs(MallocAllocator(), arguments.seconds);
  if (arguments.allocator == "pool") {
    const absl::StatusOr<std::unique_ptr<Pool>> pool = Pool::Create(PoolOptions());
    STOWAGE_CHECK(pool.ok()) << pool.status().ToString();
    return PlayPairs(PoolAllocator{pool->get()}, arguments.seconds);
  }
  return PlayPairs(LibTorchAllocator(), arguments.seconds);
}

int Main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Plays a recorded training step against one allocator", "replay_allocations");
  app.require_subcommand(1);
  CLI::App* const step = app.add_subcommand("step", "one step of a trace, over and over");
  step->add_option("TRACE", arguments.trace)->required();
  step->add_option("--write", arguments.write)->check(CLI::IsMember({"all", "none"}));
  CLI::App* const pairs = app.add_subcommand("pairs", "small blocks, one at a time");
  for (CLI::App* sub : {step, pairs}) {
    sub->add_option("--allocator", arguments.allocator)
        ->required()
        ->check(CLI::IsMember({"stowage", "pool", "malloc", "libtorch"}));
    sub->add_option("--seconds", arguments.seconds)->check(CLI::PositiveNumber);
    sub->add_flag("--fixed-mmap-threshold", arguments.fixed_mmap_threshold,
                  "glibc's M_MMAP_THRESHOLD stays at 128 KiB");
  }
  CLI11_PARSE(app, argc, argv);
  if (arguments.fixed_mmap_threshold) mallopt(M_MMAP_THRESHOLD, 128 << 10);
  if (arguments.allocator == "stowage") InstallStowage();
  nlohmann::json out = step->parsed() ? Step(arguments) : Pairs(arguments);
  out["allocator"] = arguments.allocator;
  std::printf("%s\n", out.dump().c_str());
  return 0;
}

}  // namespace
}  // namespace stowage

int main(int argc, char** argv) { return stowage::Main(argc, argv); }
