// What the books cost: allocating and freeing through the pool alone, through the counting allocator, and with a name,
// a scope and marks; and a tensor with a name of its own.
#include <ATen/ops/empty.h>
#include <benchmark/benchmark.h>
#include <c10/core/CPUAllocator.h>

#include "memory/counting_allocator.h"
#include "memory/ledger_marks.h"
#include "memory/name_scope.h"
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
