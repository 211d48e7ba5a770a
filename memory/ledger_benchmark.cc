// What the books cost: allocating and freeing through the pool alone, through the counting allocator, and with a name,
// a scope and marks; a tensor with a name of its own; and the blocks of whole steps as they were recorded. Run in the
// folder above memory/, where the recorded steps are found.
#include <ATen/ops/empty.h>
#include <benchmark/benchmark.h>
#include <c10/core/CPUAllocator.h>

#include <string>
#include <vector>

#include "memory/counting_allocator.h"
#include "memory/ledger_marks.h"
#include "memory/name_scope.h"
#include "memory/trace/allocation_trace.h"
#include "memory/trace/repeated_step.h"
#include "memory/tracked_tensor.h"

namespace stowage {
namespace {

Ledger& Books() {
  static Ledger* const ledger = [] {
    auto* made = new Ledger;
    if (!InstallCountingAllocator(made).ok()) std::abort();
    return made;
  }();
  return *ledger;
}

// Bytes of a block: below what is listed, at its edge, and large.
void Sizes(benchmark::internal::Benchmark* b) { b->Arg(1024)->Arg(4096)->Arg(64 << 10)->Arg(4 << 20); }

// What the counting allocator does beside its books: the pool, with room for the header.
void BM_PoolPair(benchmark::State& state) {
  Books();
  Pool& pool = *InstalledPool();
  const size_t bytes = static_cast<size_t>(state.range(0)) + sizeof(BlockHeader);
  for (auto _ : state) {
    void* block = pool.Allocate(bytes);
    benchmark::DoNotOptimize(block);
    pool.Free(block, bytes);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_PoolPair)->Apply(Sizes)->ThreadRange(1, 2);

void BM_CountedPair(benchmark::State& state) {
  Books();
  c10::Allocator* const allocator = c10::GetCPUAllocator();
  const size_t bytes = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    void* block = allocator->raw_allocate(bytes);
    benchmark::DoNotOptimize(block);
    allocator->raw_deallocate(block);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_CountedPair)->Apply(Sizes)->ThreadRange(1, 2);

// As an instruction of four allocations does it, all books on.
void BM_MarkedInstruction(benchmark::State& state) {
  LedgerMarks marks(Books());
  const Label instruction("forward h.0.attn"), name("h.0.attn");
  c10::Allocator* const allocator = c10::GetCPUAllocator();
  const size_t bytes = static_cast<size_t>(state.range(0));
  Peaks step;
  marks.Open(&step);
  for (auto _ : state) {
    const InstructionScope played(instruction);
    const NameScope named(name);
    Peaks peaks;
    const MarkScope mark(marks, &peaks);
    for (int i = 0; i < 4; ++i) {
      void* block = allocator->raw_allocate(bytes);
      benchmark::DoNotOptimize(block);
      allocator->raw_deallocate(block);
    }
  }
  marks.Close(&step);
  state.SetItemsProcessed(4 * state.iterations());
}
BENCHMARK(BM_MarkedInstruction)->Apply(Sizes);

// Opening and closing a mark inside of two others.
void BM_Mark(benchmark::State& state) {
  LedgerMarks marks(Books());
  Peaks phase, step;
  marks.Open(&phase);
  marks.Open(&step);
  for (auto _ : state) {
    Peaks peaks;
    const MarkScope mark(marks, &peaks);
  }
  marks.Close(&step);
  marks.Close(&phase);
}
BENCHMARK(BM_Mark);

// One step of a recorded run over and over: the same blocks from the pool alone and through the books, with a mark, a
// scope and a name for every two blocks, which is more than a step has instructions. Nothing is written to the blocks.
// The difference is what the books cost a step.
void BM_RecordedStep(benchmark::State& state, const char* name, bool with_books) {
  const absl::StatusOr<AllocationTrace> trace =
      ReadAllocationTrace(std::string("memory/trace/testdata/") + name + ".trace.gz");
  const absl::StatusOr<RepeatedStep> step = trace.ok() ? RepeatLastStep(*trace) : trace.status();
  if (!step.ok()) return state.SkipWithError(step.status().ToString().c_str());
  LedgerMarks marks(Books());
  const Label instruction("forward h.0.attn"), layer("h.0.attn");
  c10::Allocator* const allocator = c10::GetCPUAllocator();
  Pool& pool = *InstalledPool();
  constexpr int64_t kHeader = sizeof(BlockHeader);  // in the recorded sizes
  int blocks = 0;
  const auto allocate = [&](int64_t bytes) -> void* {
    if (!with_books) return pool.Allocate(static_cast<size_t>(bytes));
    if (++blocks % 2 != 0) return allocator->raw_allocate(static_cast<size_t>(bytes - kHeader));
    const InstructionScope played(instruction);
    const NameScope named(layer);
    Peaks peaks;
    const MarkScope mark(marks, &peaks);
    return allocator->raw_allocate(static_cast<size_t>(bytes - kHeader));
  };
  const auto free = [&](void* block, int64_t bytes) {
    if (with_books) {
      allocator->raw_deallocate(block);
    } else {
      pool.Free(block, static_cast<size_t>(bytes));
    }
  };
  Peaks phase, whole;
  marks.Open(&phase);
  marks.Open(&whole);
  std::vector<SlotBlock> slots(step->slots);
  Play(step->before, slots, allocate, free);
  for (auto _ : state) {
    Play(step->step, slots, allocate, free);
    Carry(*step, slots);
  }
  for (const SlotBlock& slot : slots) {
    if (slot.block != nullptr) free(slot.block, slot.bytes);
  }
  marks.Close(&whole);
  marks.Close(&phase);
}
BENCHMARK_CAPTURE(BM_RecordedStep, quickstart_pool, "quickstart", false);
BENCHMARK_CAPTURE(BM_RecordedStep, quickstart_books, "quickstart", true);
BENCHMARK_CAPTURE(BM_RecordedStep, gpt2_124m_pool, "gpt2_124m", false);
BENCHMARK_CAPTURE(BM_RecordedStep, gpt2_124m_books, "gpt2_124m", true);
BENCHMARK_CAPTURE(BM_RecordedStep, cnn_pool, "cnn", false);
BENCHMARK_CAPTURE(BM_RecordedStep, cnn_books, "cnn", true);

void BM_PlainEmpty(benchmark::State& state) {
  Books();
  for (auto _ : state) benchmark::DoNotOptimize(at::empty({state.range(0) / 4}));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_PlainEmpty)->Apply(Sizes);

void BM_TrackedEmpty(benchmark::State& state) {
  Books();
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        TrackedEmpty("h.3.attn gradients", {state.range(0) / 4}, at::kFloat, Category::kGradients));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_TrackedEmpty)->Apply(Sizes);

}  // namespace
}  // namespace stowage
