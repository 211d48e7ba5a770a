// Sizes of small blocks: each request is rounded up to one of them, so that a freed block fits the next request.
//
// Multiples of 64 up to 512, then eight steps to every doubling: at most 1/8 of a block is lost by rounding (below 512:
// at most 63 bytes). Up to 12 KiB; larger blocks are runs of whole pages, of which rounding then takes at most a
// quarter: a step has few of each size, for which a span would mostly lie idle. Every class is a multiple of 64, the
// alignment.
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

static_assert(SizeClassOf(1) == 0 && SizeClassOf(64) == 0 && SizeClassOf(65) == 1 && SizeClassOf(512) == 7);
static_assert(SizeClassOf(513) == 8 && SizeClassBytes(8) == 576 &&
              SizeClassBytes(kSizeClasses - 1) == kLargestSmallBytes);
static_assert(SizeClassOf(kLargestSmallBytes) == kSizeClasses - 1);

}  // namespace stowage

#endif  // STOWAGE_MEMORY_POOL_SIZE_CLASSES_H_
