#include "kernels/parallel.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "base/check.h"

namespace stowage::kernels {
namespace {

int64_t RoundUp(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

}  // namespace

int64_t ParallelThreads() { return at::in_parallel_region() ? 1 : at::get_num_threads(); }

void ParallelFor(int64_t n, int64_t grain, int64_t multiple, absl::FunctionRef<void(int64_t, int64_t)> body) {
  STOWAGE_CHECK(n >= 0 && grain > 0 && multiple > 0) << "n " << n << ", grain " << grain << ", multiple " << multiple;
  if (n == 0) return;
  const int64_t threads = ParallelThreads();
  const int64_t part = RoundUp(std::max(grain, (n + threads - 1) / threads), multiple);
  const int64_t parts = (n + part - 1) / part;
  // at::parallel_for would cut [0, n) itself, but below `grain` where n is not a multiple of it, and anywhere. It is
  // given the parts instead, one a thread.
  at::parallel_for(0, parts, /*grain_size=*/1,
                   [&](int64_t first, int64_t last) { body(first * part, std::min(n, last * part)); });
}

}  // namespace stowage::kernels
