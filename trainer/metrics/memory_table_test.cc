#include "trainer/metrics/memory_table.h"

#include "absl/strings/str_join.h"
#include "gtest/gtest.h"

namespace stowage {
namespace {

constexpr int64_t kMiB = 1 << 20;

MemoryTable Table() {
  MemoryTable table;
  table.moment = "step 3, backward h.3.attn";
  table.tensors = {{"parameters", 7 * kMiB, 7 * kMiB}, {"communication", 0, 0}, {"workspace", 0, 20 * kMiB}};
  table.most_tensor_bytes = 25 * kMiB;
  table.outside = {{"libraries", "libraries' code and data", 90 * kMiB}, {"jit_code", "code compiled at run time", 9}};
  table.unexplained_bytes = kMiB;
  table.rss_peak_bytes = 98 * kMiB;
  return table;
}

TEST(MemoryTableTest, ShowsWhatIsThereAndLeavesOutWhatIsNot) {
  EXPECT_EQ(
      absl::StrJoin(MemoryTableLines(Table()), "\n"),
      "Memory at its peak (step 3, backward h.3.attn), MiB; beside it each category's own peak, at its own moment\n"
      "  parameters                         7.0       7.0\n"
      "  workspace                          0.0      20.0\n"
      "  tensors in all                     7.0      25.0\n"
      "  libraries' code and data          90.0\n"
      "  unexplained                        1.0   (1.0 %)\n"
      "  peak resident                     98.0");
}

TEST(MemoryTableTest, SeveralRanksNameTheOneWithTheMost) {
  MemoryTable table = Table();
  table.most_rss_peak_bytes = 120 * kMiB;
  EXPECT_EQ(MemoryTableLines(table).back(),
            "  peak resident                     98.0   (rank 0; the rank with the most: 120.0)");
}

TEST(MemoryTableTest, SaysWhyThereIsNone) {
  MemoryTable table;
  table.unmeasured = "/proc/self/smaps: No such file or directory";
  EXPECT_EQ(absl::StrJoin(MemoryTableLines(table), "\n"),
            "Memory: no table: /proc/self/smaps: No such file or directory");
}

}  // namespace
}  // namespace stowage
