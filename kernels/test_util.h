// What the kernels' tests share: values, bit comparison, and running under every vector width and thread count.
#ifndef STOWAGE_KERNELS_TEST_UTIL_H_
#define STOWAGE_KERNELS_TEST_UTIL_H_

#include <ATen/Parallel.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "base/hash.h"
#include "gtest/gtest.h"
#include "hwy/targets.h"

namespace stowage::kernels {

// Around the vector widths, and more than one thread's grain.
inline const std::vector<int64_t>& TestSizes() {
  static const std::vector<int64_t> sizes = {0, 1, 7, 15, 16, 17, 1000003};
  return sizes;
}

// Values in (-1, 1), a function of (seed, i).
inline std::vector<float> TestValues(int64_t numel, uint64_t seed) {
  std::vector<float> values(numel);
  for (int64_t i = 0; i < numel; ++i) {
    const uint64_t bits = HashKey({seed, static_cast<uint64_t>(i)});
    values[i] = static_cast<float>(static_cast<int64_t>(bits >> 40) - (1 << 23)) * 0x1p-23f;
  }
  return values;
}

template <typename T>
testing::AssertionResult SameBits(const T* a, const T* b, int64_t numel) {
  for (int64_t i = 0; i < numel; ++i) {
    if (std::memcmp(&a[i], &b[i], sizeof(T)) != 0) {
      return testing::AssertionFailure() << "element " << i << " of " << numel << ": " << a[i] << " and " << b[i];
    }
  }
  return testing::AssertionSuccess();
}

// Restores thread count and targets when a test ends, however it ends.
class Machine {
 public:
  Machine() : threads_(at::get_num_threads()) {}
  ~Machine() {
    at::set_num_threads(threads_);
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }

 private:
  const int threads_;
};

// Calls `body` with a description for each of: every vector width that this CPU has, by 1 and 2 threads.
inline void ForEachWidthAndThreadCount(const std::function<void(const std::string&)>& body) {
  const Machine restore;
  int widths = 0;
  for (int64_t target : {HWY_SSE4, HWY_AVX2, HWY_AVX3, HWY_NEON}) {
    hwy::SetSupportedTargetsForTest(0);
    if ((hwy::SupportedTargets() & target) == 0) continue;
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    ++widths;
    for (int threads : {1, 2}) {
      at::set_num_threads(threads);
      body(std::string(hwy::TargetName(target)) + ", threads " + std::to_string(threads));
    }
  }
  EXPECT_GT(widths, 0) << "no target of highway_targets.h runs on this CPU";
}

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_TEST_UTIL_H_
