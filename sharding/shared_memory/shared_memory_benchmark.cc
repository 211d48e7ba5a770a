// 64 MiB of fp32 between two processes, beside memcpy in the same run:
//
//   mpirun -n 2 shared_memory_benchmark [mpi|shared_memory]
//
// Prints, from rank 0, the median, least and most milliseconds of each call between two barriers.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sharding/launch.h"
#include "sharding/shared_arena.h"

namespace stowage {
namespace {

constexpr int64_t kNumel = int64_t{16} << 20;
constexpr int kRounds = 21;

void Measure(Communicator& communicator, const char* what, const std::function<absl::Status()>& call) {
  std::vector<double> ms;
  for (int round = 0; round < kRounds; ++round) {
    absl::Status status = communicator.Barrier();
    const auto begun = std::chrono::steady_clock::now();
    status.Update(call());
    status.Update(communicator.Barrier());
    ms.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begun).count());
    if (!status.ok()) {
      std::fprintf(stderr, "%s: %s\n", what, status.ToString().c_str());
      return;
    }
  }
  std::sort(ms.begin(), ms.end());
  if (communicator.rank() == 0) {
    std::printf("%-44s %7.2f ms (%.2f to %.2f)\n", what, ms[kRounds / 2], ms.front(), ms.back());
  }
}

int Main(int argc, char** argv) {
  auto launched = Launch(argc > 1 ? argv[1] : "shared_memory");
  if (!launched.ok()) {
    std::fprintf(stderr, "%s\n", launched.status().ToString().c_str());
    return 1;
  }
  Communicator& communicator = **launched;
  const int64_t shard = kNumel / communicator.world_size();
  std::vector<float> data(kNumel, 1.0f);
  std::vector<float> other(kNumel, 2.0f);
  const auto run = [&](const char* what, const std::function<Event()>& call) {
    Measure(communicator, what, [&] { return call().Wait(); });
  };
  Measure(communicator, "memcpy 64 MiB", [&] {
    std::memcpy(other.data(), data.data(), kNumel * sizeof(float));
    return absl::OkStatus();
  });
  run("reduce_scatter, private to private",
      [&] { return communicator.ReduceScatter(data.data(), other.data(), shard, DType::kFloat32); });
  run("all_gather, private to private",
      [&] { return communicator.AllGather(data.data(), other.data(), shard, DType::kFloat32); });
  run("all_reduce, private", [&] { return communicator.AllReduce(data.data(), kNumel, DType::kFloat32); });
  if (communicator.shared() == nullptr) return 0;
  auto buffer = communicator.shared()->Allocate(kNumel * sizeof(float));
  auto common = communicator.shared()->AllocateCommon(kNumel * sizeof(float));
  if (!buffer.ok() || !common.ok()) return 1;
  float* const window = reinterpret_cast<float*>((*buffer)->data());
  float* const whole = reinterpret_cast<float*>((*common)->data());
  std::fill(window, window + kNumel, 1.0f);
  run("reduce_scatter, in the window",
      [&] { return communicator.ReduceScatter(window, other.data(), shard, DType::kFloat32); });
  run("reduce_scatter, in the window, in place",
      [&] { return communicator.ReduceScatter(window, window + communicator.rank() * shard, shard, DType::kFloat32); });
  run("all_gather, window to private",
      [&] { return communicator.AllGather(window, other.data(), shard, DType::kFloat32); });
  run("all_gather, common window",
      [&] { return communicator.AllGather(whole + communicator.rank() * shard, whole, shard, DType::kFloat32); });
  run("all_reduce, in the window", [&] { return communicator.AllReduce(window, kNumel, DType::kFloat32); });
  return 0;
}

}  // namespace
}  // namespace stowage

int main(int argc, char** argv) { return stowage::Main(argc, argv); }
