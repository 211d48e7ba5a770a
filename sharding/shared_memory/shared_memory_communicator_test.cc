#include "sharding/shared_memory/shared_memory_communicator.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <numeric>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "sharding/collective_cases.h"
#include "sharding/in_process_test_util.h"
#include "sharding/shared_memory/forked_ranks.h"

namespace stowage {
namespace {

using Options = SharedMemoryCommunicator::Options;

constexpr int64_t kLargeNumel = 300007;

std::vector<int> AllOf(const Communicator& meeting) {
  std::vector<int> all(meeting.world_size());
  std::iota(all.begin(), all.end(), 0);
  return all;
}

// `body` as every rank, by processes.
void ForkRanks(int world_size, const std::function<int(SharedMemoryCommunicator&)>& body,
               const std::vector<int>& wanted_codes, const Options& options = Options()) {
  ForkedRanks ranks(world_size, [&](Communicator& meeting) {
    auto made = SharedMemoryCommunicator::Create(meeting, AllOf(meeting), options);
    if (!made.ok()) {
      std::fprintf(stderr, "%s\n", made.status().ToString().c_str());
      return 99;
    }
    return body(**made);
  });
  EXPECT_EQ(ranks.Wait(), wanted_codes);
}

// By threads.
void ThreadRanks(int world_size, const std::function<void(SharedMemoryCommunicator&)>& body,
                 const Options& options = Options()) {
  std::vector<std::unique_ptr<SharedMemoryCommunicator>> kept(world_size);
  RunRanks(world_size, [&](Communicator& meeting) {
    auto made = SharedMemoryCommunicator::Create(meeting, AllOf(meeting), options);
    ASSERT_TRUE(made.ok()) << made.status();
    kept[meeting.rank()] = *std::move(made);
    body(*kept[meeting.rank()]);
  });
}

Options SmallSlots(int world_size) {
  Options options;
  options.slot_bytes = 64 * 5 * world_size;
  return options;
}

int PlayCases(Communicator& communicator, int64_t large_numel) {
  int failed = 0;
  for (const CollectiveCase& one : CollectiveCases(large_numel)) {
    const absl::Status status = one.run(communicator);
    if (status.ok()) continue;
    ++failed;
    std::fprintf(stderr, "%s on rank %d: %s\n", one.name.c_str(), communicator.rank(), status.ToString().c_str());
  }
  return failed == 0 ? 0 : 1;
}

class SharedMemoryTest : public testing::TestWithParam<int> {};

TEST_P(SharedMemoryTest, EveryCaseGivesTheSerialReferencesBitsBetweenProcesses) {
  ForkRanks(
      GetParam(), [](Communicator& communicator) { return PlayCases(communicator, kLargeNumel); },
      std::vector<int>(GetParam(), 0));
}

TEST_P(SharedMemoryTest, EveryCaseGivesTheSameBitsThroughSlotsOfAFewBytes) {
  ForkRanks(
      GetParam(), [](Communicator& communicator) { return PlayCases(communicator, 5003); },
      std::vector<int>(GetParam(), 0), SmallSlots(GetParam()));
}

TEST_P(SharedMemoryTest, EveryCaseGivesTheSameBitsBetweenThreads) {
  ThreadRanks(GetParam(), [](Communicator& communicator) { EXPECT_EQ(PlayCases(communicator, 5003), 0); });
}

// The sum in rank order of what AsRank gives, and values whose sum depends on the order.
float AsRank(int rank, int64_t i) {
  return (rank % 2 == 0 ? 1.0f : -1.0f) * (1 << (rank * 5 % 23)) + 0.001f * (i % 97);
}

float Sum(int world_size, int64_t i) {
  float sum = AsRank(0, i);
  for (int rank = 1; rank < world_size; ++rank) sum += AsRank(rank, i);
  return sum;
}

TEST_P(SharedMemoryTest, BuffersOfTheArenaGiveTheSameBits) {
  const int world_size = GetParam();
  ThreadRanks(world_size, [world_size](SharedMemoryCommunicator& communicator) {
    const int64_t shard = 1001;
    const int64_t numel = shard * world_size;
    const int rank = communicator.rank();
    auto buffer = communicator.shared()->Allocate(numel * 4 + 400);
    ASSERT_TRUE(buffer.ok()) << buffer.status();
    // Not at the same place on all ranks.
    float* const data = reinterpret_cast<float*>((*buffer)->data()) + rank * 3;
    const auto fill = [&] {
      for (int64_t i = 0; i < numel; ++i) data[i] = AsRank(rank, i);
    };
    fill();
    std::vector<float> out(shard);
    ASSERT_EQ(communicator.ReduceScatter(data, out.data(), shard, DType::kFloat32).Wait(), absl::OkStatus());
    for (int64_t i = 0; i < shard; ++i) ASSERT_EQ(out[i], Sum(world_size, rank * shard + i)) << i;
    ASSERT_EQ(data[0], AsRank(rank, 0)) << "what was reduced is left as it was";
    ASSERT_EQ(communicator.AllReduce(data, numel, DType::kFloat32).Wait(), absl::OkStatus());
    for (int64_t i = 0; i < numel; ++i) ASSERT_EQ(data[i], Sum(world_size, i)) << i;
    fill();
    std::vector<float> whole(numel);
    ASSERT_EQ(communicator.AllGather(data, whole.data(), shard, DType::kFloat32).Wait(), absl::OkStatus());
    for (int64_t i = 0; i < numel; ++i) ASSERT_EQ(whole[i], AsRank(i / shard, i % shard)) << i;
    // A peer's bytes can be read where they lie.
    const int last = world_size - 1;
    EXPECT_EQ(reinterpret_cast<float*>((*buffer)->of(last))[last * 3 + 7], AsRank(last, 7));
    ASSERT_EQ(communicator.Barrier(), absl::OkStatus());
    ASSERT_TRUE(communicator.AllocateCommon(8).ok()) << "an allocation after others have been freed";
  });
}

TEST_P(SharedMemoryTest, ACommonWholeIsGatheredInPlaceAndHeldOnce) {
  const int world_size = GetParam();
  ForkRanks(
      world_size,
      [world_size](SharedMemoryCommunicator& communicator) {
        const int64_t shard = 777;
        auto buffer = communicator.AllocateCommon(shard * world_size * 4);
        if (!buffer.ok()) return 2;
        float* const whole = reinterpret_cast<float*>((*buffer)->data());
        float* const mine = whole + communicator.rank() * shard;
        for (int64_t i = 0; i < shard; ++i) mine[i] = AsRank(communicator.rank(), i);
        if (!communicator.AllGather(mine, whole, shard, DType::kFloat32).Wait().ok()) return 3;
        for (int64_t i = 0; i < shard * world_size; ++i) {
          if (whole[i] != AsRank(i / shard, i % shard)) return 4;
        }
        return communicator.Barrier().ok() ? 0 : 5;
      },
      std::vector<int>(world_size, 0));
}

TEST_P(SharedMemoryTest, AbortReleasesEveryRankWithTheCause) {
  const int world_size = GetParam();
  ThreadRanks(world_size, [&](Communicator& communicator) {
    std::vector<float> data(10, 1.0f);
    if (communicator.rank() == world_size - 1) communicator.Abort(absl::DataLossError("bad page"));
    const absl::Status wanted = absl::AbortedError(absl::StrCat("rank ", world_size - 1, ": bad page"));
    EXPECT_EQ(communicator.AllReduce(data.data(), 10, DType::kFloat32).Wait(), wanted);
    EXPECT_EQ(communicator.Barrier(), wanted);
    EXPECT_EQ(communicator.ExchangeText("x").status(), wanted);
    if (world_size > 1) {
      const int peer = (communicator.rank() + 1) % world_size;
      EXPECT_EQ(communicator.Receive(data.data(), 4, peer).Wait(), wanted);
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, SharedMemoryTest, testing::Values(1, 2, 3, 4, 8), testing::PrintToStringParamName());

TEST(SharedMemoryFaultTest, AKilledRankEndsTheCallsOfAllOthersAndIsNamed) {
  const absl::Time begun = absl::Now();
  ForkRanks(3,
            [](Communicator& communicator) {
              if (!communicator.Barrier().ok()) return 2;
              if (communicator.rank() == 1) raise(SIGKILL);
              std::vector<float> data(1000000, 1.0f);
              float word = 0;
              // One waits in a collective, one for a message.
              const absl::Status status = communicator.rank() == 0
                                              ? communicator.AllReduce(data.data(), data.size(), DType::kFloat32).Wait()
                                              : communicator.Receive(&word, 4, 1).Wait();
              const bool named = absl::IsUnavailable(status) &&
                                 absl::StartsWith(status.message(), "rank 1 (process ") &&
                                 absl::EndsWith(status.message(), " has died");
              return named ? 0 : 3;
            },
            {0, -SIGKILL, 0});
  EXPECT_LT(absl::Now() - begun, absl::Seconds(50)) << "they were released by their alarm, not by the death";
}

TEST(SharedMemoryFaultTest, AStoppedRankIsNamedAndWaitedFor) {
  const std::string said = absl::StrCat(testing::TempDir(), "/stopped_", getpid());
  Options options;
  options.stopped_after = std::chrono::milliseconds(200);
  ForkedRanks ranks(2, [&](Communicator& meeting) {
    auto made = SharedMemoryCommunicator::Create(meeting, {0, 1}, options);
    if (!made.ok()) return 2;
    if (meeting.rank() == 0) dup2(open(said.c_str(), O_CREAT | O_RDWR | O_TRUNC, 0600), STDERR_FILENO);
    if (!(*made)->Barrier().ok()) return 3;
    if (meeting.rank() == 1) raise(SIGSTOP);
    std::vector<float> data(1000, 1.0f);
    const absl::Status status = (*made)->AllReduce(data.data(), data.size(), DType::kFloat32).Wait();
    return status.ok() && data[999] == 2.0f ? 0 : 4;
  });
  std::string text;
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (!absl::StrContains(text, "goes on") && absl::Now() < deadline) {
    std::ifstream file(said);
    text.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    absl::SleepFor(absl::Milliseconds(10));
  }
  kill(ranks.pid(1), SIGCONT);
  EXPECT_EQ(ranks.Wait(), std::vector<int>({0, 0}));
  EXPECT_TRUE(absl::StrContains(text, absl::StrCat("stowage: rank 0: rank 1 (process ", ranks.pid(1)))) << text;
  EXPECT_TRUE(absl::StrContains(text, "all_reduce of 1000 F32 waits for it")) << text;
}

TEST(SharedMemoryFaultTest, DifferentCallsEndInAnErrorThatNamesThemOnAllRanks) {
  ThreadRanks(3, [](Communicator& communicator) {
    std::vector<float> data(30);
    const Event event = communicator.rank() == 2
                            ? communicator.AllGather(data.data(), data.data() + 10, 5, DType::kFloat32)
                            : communicator.AllReduce(data.data(), 10, DType::kFloat32);
    const absl::Status status = event.Wait();
    EXPECT_TRUE(absl::IsInvalidArgument(status) || absl::IsAborted(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "rank 0 calls all_reduce of 10 F32, rank 2 calls all_gather of 5"))
        << status;
    EXPECT_FALSE(communicator.Barrier().ok());
  });
}

TEST(SharedMemoryFaultTest, AMessageOfTwoSizesIsNamed) {
  ThreadRanks(2, [](Communicator& communicator) {
    std::vector<char> data(100);
    if (communicator.rank() == 0) {
      communicator.Send(data.data(), 90, 1).Wait().IgnoreError();
    } else {
      EXPECT_EQ(communicator.Receive(data.data(), 80, 0).Wait(),
                absl::InvalidArgumentError("ranks disagree on a size: rank 1 calls receive of 80 bytes from rank 0, "
                                           "which sent 90"));
    }
  });
}

TEST(SharedMemoryFaultTest, NoRoomOnOneRankIsAnErrorOfAll) {
  ForkRanks(2,
            [](SharedMemoryCommunicator& communicator) {
              if (communicator.rank() == 1) {
                int64_t pages = 0;
                std::ifstream("/proc/self/statm") >> pages;
                const rlim_t bytes = pages * getpagesize() + (int64_t{32} << 20);
                const rlimit limit = {bytes, bytes};
                setrlimit(RLIMIT_AS, &limit);
              }
              const auto buffer = communicator.Allocate(int64_t{64} << 20);
              if (!absl::IsResourceExhausted(buffer.status())) return 2;
              return communicator.Barrier().ok() ? 0 : 3;
            },
            {0, 0});
}

TEST(SharedMemoryPartsTest, PartsOfAWorldAreGroupsOfTheirOwn) {
  RunRanks(4, [](Communicator& meeting) {
    const int first = meeting.rank() % 2;  // {0, 2} and {1, 3}
    auto made = SharedMemoryCommunicator::Create(meeting, {first, first + 2});
    ASSERT_TRUE(made.ok()) << made.status();
    EXPECT_EQ((*made)->rank(), meeting.rank() / 2);
    int64_t value = 1 << meeting.rank();
    ASSERT_EQ((*made)->AllReduce(&value, 1, DType::kInt64).Wait(), absl::OkStatus());
    EXPECT_EQ(value, first == 0 ? 5 : 10);
    ASSERT_EQ(meeting.Barrier(), absl::OkStatus());
  });
}

}  // namespace
}  // namespace stowage
