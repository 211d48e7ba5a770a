// A save in a process that gets no more addresses from the system.
#include "trainer/run/save_reserve.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <new>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "sharding/solo_communicator.h"
#include "trainer/checkpoint/checkpoint.h"

namespace stowage {
namespace {

constexpr int kSaved = 0, kFailed = 1, kNoMemory = 2;

int64_t MappedDataKiB() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int64_t kib = 0;
    if (word == "VmData:" && status >> kib) return kib;
  }
  return 0;
}

// Takes all that malloc has and gets.
void EndHeap() {
  const rlim_t now = static_cast<rlim_t>(MappedDataKiB()) * 1024;
  const rlimit limit = {now, now};
  if (now == 0 || setrlimit(RLIMIT_DATA, &limit) != 0) _exit(kFailed);
  for (size_t bytes = size_t{1} << 20; bytes >= 16; bytes /= 2) {
    while (std::malloc(bytes) != nullptr) {
    }
  }
}

// Never returns. Saves `tensors` tensors of one element.
[[noreturn]] void SaveAtTheEndOfMemory(bool with_reserve, int tensors, const std::string& folder) {
  SoloCommunicator solo;
  const float value = 1.0f;
  std::vector<TensorPiece> pieces;
  int64_t name_bytes = 0;
  for (int i = 0; i < tensors; ++i) {
    pieces.push_back(
        {absl::StrCat("optimizer.exp_avg_sq.layer.", i, ".attn.qkv.weight"), DType::kFloat32, {1}, 0, 1, &value});
    name_bytes += static_cast<int64_t>(pieces.back().name.size());
  }
  CheckpointInfo info;
  info.step = 3;
  info.config_yaml.assign(3000, 'c');
  info.plan_json.assign(100 * 1000, 'p');
  info.tokenizer_model.assign(300 * 1000, 't');
  info.state["micro_batch"] = "1";
  absl::StatusOr<SaveReserve> reserve = SaveReserve::Take(SaveBytes(info, tensors, name_bytes, 1));
  if (!reserve.ok()) _exit(kFailed);
  EndHeap();
  if (with_reserve) reserve->Release();
  try {
    _exit(SaveCheckpoint(solo, folder, info, pieces, 1).ok() ? kSaved : kFailed);
  } catch (const std::bad_alloc&) {
    _exit(kNoMemory);
  }
}

class LastSaveTest : public testing::TestWithParam<int> {
 protected:
  std::string Folder() const { return absl::StrCat(testing::TempDir(), "/save_reserve_", GetParam()); }
};

TEST_P(LastSaveTest, ASaveHasWhatItTakesWhereTheSystemGivesNoMore) {
  EXPECT_EXIT(SaveAtTheEndOfMemory(true, GetParam(), Folder()), testing::ExitedWithCode(kSaved), "");
  std::vector<std::string> said;
  const auto saved = OpenNewest(Folder(), &said);
  ASSERT_TRUE(saved.ok()) << saved.status();
  EXPECT_EQ(saved->info().step, 3);
  EXPECT_EQ(saved->info().state.at("micro_batch"), "1");
}

INSTANTIATE_TEST_SUITE_P(Tensors, LastSaveTest, testing::Values(1, 40, 1000),
                         [](const auto& info) { return absl::StrCat("Tensors", info.param); });

// A save of a few tensors may live on what malloc has left over, this one not. Where it lacks memory in the wrong place,
// the process ends by an abort.
TEST(SaveReserveTest, WithoutItASaveFails) {
  const std::string folder = absl::StrCat(testing::TempDir(), "/save_reserve_without");
  const auto no_memory = [](int status) {
    return WIFSIGNALED(status) ? WTERMSIG(status) == SIGABRT : WEXITSTATUS(status) == kNoMemory;
  };
  EXPECT_EXIT(SaveAtTheEndOfMemory(false, 1000, folder), no_memory, "");
}

TEST(SaveReserveTest, WhatIsNotToBeHadIsATypedError) {
  const auto reserve = SaveReserve::Take(int64_t{1} << 60);
  EXPECT_EQ(reserve.status().code(), absl::StatusCode::kResourceExhausted) << reserve.status();
}

}  // namespace
}  // namespace stowage
