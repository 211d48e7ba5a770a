#include "kernels/packing.h"

#include <algorithm>
#include <atomic>

namespace stowage::kernels {
namespace {

std::atomic<int64_t> largest{0};

int64_t RoundUp(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

}  // namespace

int64_t PackingBytes(int64_t m, int64_t n, int64_t k, int threads) {
  constexpr int64_t kDepth = 384, kColumns = 9984, kRows = 384, kPage = 4096, kMostSharing = 10;
  const int64_t depth = k <= kDepth ? std::max<int64_t>(k, 128) : k < 2 * kDepth ? (k + 1) / 2 : kDepth;
  const int64_t columns = std::min(RoundUp(n, 48), kColumns * std::min<int64_t>(threads, kMostSharing));
  const int64_t rows = RoundUp(std::min(std::max<int64_t>(m, 8), kRows), 8);
  return 4 * depth * columns + kPage + threads * (4 * depth * rows + 4 * (rows + columns) + 4 * kPage);
}

int64_t LargestPackingBytes() { return largest.load(std::memory_order_relaxed); }

void ResetLargestPackingBytes() { largest.store(0, std::memory_order_relaxed); }

void NotePacking(int64_t m, int64_t n, int64_t k, int threads) {
  const int64_t bytes = PackingBytes(m, n, k, threads);
  int64_t seen = largest.load(std::memory_order_relaxed);
  while (bytes > seen && !largest.compare_exchange_weak(seen, bytes, std::memory_order_relaxed)) {
  }
}

}  // namespace stowage::kernels
