// Sizes of small blocks: each request is rounded up to one of them, so that a freed block fits the next request.
//
// Multiples of 64 up to 512, then eight steps to every doubling: at most 1/8 of a block is lost by rounding (below 512:
// at most 63 bytes). Up to 12 KiB; larger blocks are runs of whole pages, of which rounding then takes at most a
// quarter: a step has few of each size, for which a span would mostly lie idle. Every class is a multiple of 64, the
// alignment.
//
// Long runs are rounded up too, by at most 1/256: a block, its header included, is then never longer than two of half
// its size, which so fit where it lay. Without it the blocks of a convolutional network, which halve from stage to
// stage, missed each other's holes by a page: a step reached 1.052 times what was live, now 1.031.
#ifndef STOWAGE_MEMORY_POOL_SIZE_CLASSES_H_
#define STOWAGE_MEMORY_POOL_SIZE_CLASSES_H_

#include <cstddef>
#include <cstdint>

namespace stowage {

inline constexpr size_t kPoolAlignment = 64;
inline constexpr size_t kLargestSmallBytes = size_t{12} << 10;
inline constexpr int kSizeClasses = 8 + 4 * 8 + 4;  // 64..512, then (512, 1024], ..., (4096, 8192], (8192, 12288]

// 1 <= bytes <= kLargestSmallBytes.
constexpr int SizeClassOf(size_t bytes) {
  if (bytes <= 512) return static_cast<int>((bytes - 1) / 64);
  int doubling = 63 - __builtin_clzll(static_cast<unsigned long long>(bytes - 1));  // 9 for (512, 1024]
  const size_t step = size_t{1} << (doubling - 3);
  return 8 + (doubling - 9) * 8 + static_cast<int>((bytes - 1 - (size_t{1} << doubling)) / step);
}

// The block size of a class.
constexpr size_t SizeClassBytes(int size_class) {
  if (size_class < 8) return static_cast<size_t>(size_class + 1) * 64;
  const int doubling = 9 + (size_class - 8) / 8;
  return (size_t{1} << doubling) + static_cast<size_t>((size_class - 8) % 8 + 1) * (size_t{1} << (doubling - 3));
}

// Pages of the run for a block of `bytes` >= 1 that is not small, of 4 KiB: from 512 pages on multiples of 2, from 1024
// on of 4, and so on.
constexpr int64_t RunPages(size_t bytes) {
  constexpr size_t kPageBytes = 4096;
  const auto pages = static_cast<int64_t>((bytes - 1) / kPageBytes + 1);
  if (pages < 512) return pages;
  const int64_t step = int64_t{1} << (63 - __builtin_clzll(static_cast<unsigned long long>(pages)) - 8);
  return (pages + step - 1) / step * step;
}

static_assert(RunPages(1) == 1 && RunPages(511 * 4096) == 511 && RunPages(513 * 4096) == 514);
static_assert(SizeClassOf(1) == 0 && SizeClassOf(64) == 0 && SizeClassOf(65) == 1 && SizeClassOf(512) == 7);
static_assert(SizeClassOf(513) == 8 && SizeClassBytes(8) == 576 &&
              SizeClassBytes(kSizeClasses - 1) == kLargestSmallBytes);
static_assert(SizeClassOf(kLargestSmallBytes) == kSizeClasses - 1);

}  // namespace stowage

#endif  // STOWAGE_MEMORY_POOL_SIZE_CLASSES_H_
