#include "memory/outside/outside_bytes.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "memory/outside/address_ranges.h"
#include "memory/outside/test_pages.h"

namespace stowage {
namespace {

constexpr int64_t kMiB = 1 << 20;
// What reading itself and the rest of the process may do meanwhile.
constexpr int64_t kSlack = kMiB / 2;

// One measurement before something is planted and one after.
class OutsideBytesTest : public testing::Test {
 protected:
  static OutsideBytes Measure() {
    const auto bytes = MeasureOutside({});
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    if (!bytes.ok()) return {};
    EXPECT_EQ(bytes->tensor_bytes + bytes->unwritten_bytes + bytes->lines_bytes() + bytes->nobody_bytes,
              bytes->rss_bytes);
    return *bytes;
  }

  // That `line` grew by `bytes` since `before`, and that no other line did.
  static void ExpectOnly(OutsideLine line, int64_t bytes, const OutsideBytes& before) {
    const OutsideBytes after = Measure();
    for (int l = 0; l < kOutsideLines; ++l) {
      const OutsideLine other = static_cast<OutsideLine>(l);
      // Freed heap may be idle or not from one moment to the next.
      if (other == OutsideLine::kHeapIdle && line != other) continue;
      EXPECT_NEAR(after[other] - before[other], other == line ? bytes : 0, kSlack) << OutsideLineName(other);
    }
    EXPECT_NEAR(after.nobody_bytes - before.nobody_bytes, 0, kSlack);
  }

  OutsideBytesTest() { Measure(); }  // so that its own buffers have their place
};

TEST_F(OutsideBytesTest, AMappedFile) {
  const std::string path = testing::TempDir() + "/outside_bytes_test_file";
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  ASSERT_GE(file, 0);
  const std::vector<char> content(8 * kMiB, 7);
  ASSERT_EQ(write(file, content.data(), content.size()), static_cast<ssize_t>(content.size()));
  const OutsideBytes before = Measure();
  const auto pages = TestPages::Of(8 * kMiB, PROT_READ, MAP_PRIVATE, file);
  close(file);
  unlink(path.c_str());
  ExpectOnly(OutsideLine::kFiles, 8 * kMiB, before);
}

TEST_F(OutsideBytesTest, AThreadsStack) {
  pthread_barrier_t touched, done;
  pthread_barrier_init(&touched, nullptr, 2);
  pthread_barrier_init(&done, nullptr, 2);
  struct Barriers {
    pthread_barrier_t *touched, *done;
  } barriers = {&touched, &done};
  const OutsideBytes before = Measure();
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 8 * kMiB);
  pthread_t thread;
  ASSERT_EQ(pthread_create(
                &thread, &attributes,
                [](void* context) -> void* {
                  volatile char room[4 * kMiB];
                  for (int64_t at = 0; at < 4 * kMiB; at += 4096) room[at] = 1;
                  auto* const b = static_cast<Barriers*>(context);
                  pthread_barrier_wait(b->touched);
                  pthread_barrier_wait(b->done);
                  return reinterpret_cast<void*>(static_cast<intptr_t>(room[0]));
                },
                &barriers),
            0);
  pthread_barrier_wait(&touched);
  ExpectOnly(OutsideLine::kThreadStacks, 4 * kMiB, before);
  pthread_barrier_wait(&done);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

TEST_F(OutsideBytesTest, MallocSmallAndLargeAndInAThreadsArena) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's malloc and mappings are not those that are told apart here";
#endif
  const OutsideBytes before = Measure();
  void* const large = std::malloc(50 * kMiB);  // with a mapping of its own
  std::memset(large, 1, 50 * kMiB);
  ExpectOnly(OutsideLine::kHeap, 50 * kMiB, before);
  void* aligned = nullptr;
  ASSERT_EQ(posix_memalign(&aligned, 4096, 10 * kMiB), 0);
  std::memset(aligned, 1, 10 * kMiB);
  ExpectOnly(OutsideLine::kHeap, 60 * kMiB, before);
  std::vector<void*> small;
  for (int i = 0; i < 1000; ++i) {
    small.push_back(std::malloc(10000));
    std::memset(small.back(), 1, 10000);
  }
  ExpectOnly(OutsideLine::kHeap, 60 * kMiB + 10'000'000, before);
  for (void* block : small) std::free(block);
  std::free(aligned);
  std::free(large);

  pthread_barrier_t filled, done;
  pthread_barrier_init(&filled, nullptr, 2);
  pthread_barrier_init(&done, nullptr, 2);
  struct Barriers {
    pthread_barrier_t *filled, *done;
  } barriers = {&filled, &done};
  const OutsideBytes before_arena = Measure();
  pthread_t thread;
  ASSERT_EQ(pthread_create(
                &thread, nullptr,
                [](void* context) -> void* {
                  std::vector<std::unique_ptr<char[]>> blocks;
                  for (int i = 0; i < 2000; ++i) {
                    blocks.emplace_back(new char[10000]);
                    std::memset(blocks.back().get(), 1, 10000);
                  }
                  auto* const b = static_cast<Barriers*>(context);
                  pthread_barrier_wait(b->filled);
                  pthread_barrier_wait(b->done);
                  return nullptr;
                },
                &barriers),
            0);
  pthread_barrier_wait(&filled);
  ExpectOnly(OutsideLine::kHeap, 20'000'000, before_arena);
  pthread_barrier_wait(&done);
  pthread_join(thread, nullptr);
}

TEST_F(OutsideBytesTest, WindowsByWhoOwnsThem) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's malloc and mappings are not those that are told apart here";
#endif
  const OutsideBytes before = Measure();
  const auto pages = TestPages::Memfd("outside_test", 6 * kMiB);
  ExpectOnly(OutsideLine::kSharedMemory, 6 * kMiB, before);
  {
    const RegisteredRange own(RangeKind::kOwnWindow, pages->data(), 6 * kMiB);
    ExpectOnly(OutsideLine::kOwnWindows, 6 * kMiB, before);
  }
  {
    const RegisteredRange peers(RangeKind::kPeerWindow, pages->data(), 6 * kMiB);
    ExpectOnly(OutsideLine::kPeerWindows, 6 * kMiB, before);
  }
  ExpectOnly(OutsideLine::kSharedMemory, 6 * kMiB, before);
}

TEST_F(OutsideBytesTest, CodeOfOnesOwnAndBookKeeping) {
  const OutsideBytes before = Measure();
  const auto code = TestPages::Anonymous(2 * kMiB, PROT_READ | PROT_WRITE | PROT_EXEC);
  ExpectOnly(OutsideLine::kJitCode, 2 * kMiB, before);
  const OutsideBytes with_code = Measure();
  const auto books = TestPages::Anonymous(3 * kMiB);
  const RegisteredRange registered(RangeKind::kBookKeeping, books->data(), 3 * kMiB);
  ExpectOnly(OutsideLine::kBookKeeping, 3 * kMiB, with_code);
}

TEST_F(OutsideBytesTest, WhatNobodyClaimsIsSaidToBeNobodys) {
  const OutsideBytes before = Measure();
  const auto pages = TestPages::Anonymous(5 * kMiB);
  const OutsideBytes after = Measure();
  EXPECT_NEAR(after.nobody_bytes - before.nobody_bytes, 5 * kMiB, kSlack);
  EXPECT_NEAR(after.lines_bytes() - before.lines_bytes(), 0, kSlack);
}

TEST_F(OutsideBytesTest, ThePoolsPagesByWhatTheLedgerAndThePoolSay) {
  const auto pages = TestPages::Anonymous(16 * kMiB);
  const RegisteredRange registered(RangeKind::kTensors, pages->data(), 16 * kMiB);
  OutsideInputs inputs;
  inputs.tensor_bytes = 10 * kMiB;
  inputs.block_page_bytes = 11 * kMiB;
  const auto idle = MeasureOutside(inputs);
  ASSERT_TRUE(idle.ok()) << idle.status();
  EXPECT_EQ((*idle)[OutsideLine::kPoolRounding], kMiB);
  EXPECT_EQ((*idle)[OutsideLine::kPoolIdle], 5 * kMiB);
  EXPECT_EQ(idle->unwritten_bytes, 0);
  // More in blocks than is in RAM: some were never written.
  inputs.tensor_bytes = 19 * kMiB;
  inputs.block_page_bytes = 20 * kMiB;
  const auto unwritten = MeasureOutside(inputs);
  ASSERT_TRUE(unwritten.ok()) << unwritten.status();
  EXPECT_EQ((*unwritten)[OutsideLine::kPoolIdle], 0);
  EXPECT_EQ(unwritten->unwritten_bytes, -4 * kMiB);
  EXPECT_EQ(unwritten->tensor_bytes + unwritten->unwritten_bytes + unwritten->lines_bytes() + unwritten->nobody_bytes,
            unwritten->rss_bytes);
}

TEST(DivideTest, TheHeapByWhatMallocAndMklSay) {
  MappingSums sums;
  sums.lines[static_cast<int>(OutsideLine::kHeap)] = 100 * kMiB;
  sums.total_bytes = 100 * kMiB;
  OutsideInputs inputs;
  inputs.heap_at_start_bytes = 55 * kMiB;
  const OutsideBytes bytes = Divide(sums, {70 * kMiB, 4 * kMiB}, inputs);
  EXPECT_EQ(bytes[OutsideLine::kMklBuffers], 4 * kMiB);
  EXPECT_EQ(bytes[OutsideLine::kLibrariesHeap], 55 * kMiB);
  EXPECT_EQ(bytes[OutsideLine::kHeap], 11 * kMiB);
  EXPECT_EQ(bytes[OutsideLine::kHeapIdle], 30 * kMiB);
  EXPECT_EQ(bytes.lines_bytes(), bytes.rss_bytes);
  // Blocks that were never written: more in use than in RAM, and the sum is still what is in RAM.
  EXPECT_EQ(Divide(sums, {170 * kMiB, 4 * kMiB}, inputs).lines_bytes(), 100 * kMiB);
}

TEST(RegisteredRangeDeathTest, RangesMayNotOverlap) {
  const auto pages = TestPages::Anonymous(kMiB);
  const RegisteredRange registered(RangeKind::kOwnWindow, pages->data(), kMiB);
  EXPECT_DEATH(RegisteredRange(RangeKind::kPeerWindow, pages->data() + 4096, 4096), "known already");
}

}  // namespace
}  // namespace stowage
