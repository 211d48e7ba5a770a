#include "kernels/heap_holes.h"

#include <cstddef>
#include <cstdlib>

namespace stowage::kernels {

namespace {

void FillCache() {
  constexpr int kSizes = 10;    // chunks of 32, 48 ... 176 bytes: from the least chunk to alignment 128 and a header
  constexpr int kInACache = 7;  // of each size: glibc's TCACHE_FILL_COUNT
  void* volatile blocks[kSizes][kInACache];  // volatile: pairs of malloc and free may otherwise be left out
  for (int size = 0; size < kSizes; ++size) {
    for (void* volatile& block : blocks[size]) block = std::malloc(size_t{24} + size_t{16} * size);
  }
  for (int size = 0; size < kSizes; ++size) {
    for (void* volatile& block : blocks[size]) std::free(block);
  }
}

}  // namespace

void KeepHeapHolesWhole() {
#pragma omp parallel
  FillCache();
}

}  // namespace stowage::kernels
