#include "trainer/state/gather_layout.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace stowage {
namespace {

// Each rank writes its part where an all-gather would put it; every chosen element is then at its parameter's offset.
TEST(GatherLayoutTest, PartsPutTogetherByRankAreTheChosenParameters) {
  const std::vector<int64_t> numels = {100, 3, 64, 1, 250};
  for (const int world_size : {1, 2, 3, 5, 40}) {
    const FlatLayout layout(numels, world_size);
    std::vector<int64_t> whole(layout.whole_numel());
    std::iota(whole.begin(), whole.end(), 1);
    for (const std::vector<int>& chosen : {std::vector<int>{0, 1, 2, 3, 4}, {1, 3}, {0, 4}, {2}, {}}) {
      const GatherLayout gather(layout, world_size, chosen);
      std::vector<int64_t> gathered(gather.numel(), 0);
      int64_t begin = 0;
      for (int rank = 0; rank < world_size; ++rank) {
        int64_t brought = 0;
        for (const GatherLayout::Run& run : gather.part(rank)) {
          EXPECT_EQ(run.gathered, begin + brought) << "a part is one run of what is gathered";
          EXPECT_GE(run.whole, rank * layout.shard_numel());
          EXPECT_LE(run.whole + run.numel, (rank + 1) * layout.shard_numel());
          for (int64_t k = 0; k < run.numel; ++k) gathered[run.gathered + k] = whole[run.whole + k];
          brought += run.numel;
        }
        EXPECT_EQ(brought, gather.part_numels()[rank]);
        begin += brought;
      }
      EXPECT_EQ(begin, gather.numel());
      for (size_t k = 0; k < chosen.size(); ++k) {
        EXPECT_EQ(gather.offset(static_cast<int>(k)) % 16, 0);
        for (int64_t e = 0; e < numels[chosen[k]]; ++e) {
          ASSERT_EQ(gathered[gather.offset(static_cast<int>(k)) + e], whole[layout.offset(chosen[k]) + e]);
        }
      }
    }
  }
}

TEST(GatherLayoutTest, AllParametersAreGatheredAsTheyLie) {
  const FlatLayout layout({70, 5, 33}, 3);
  const GatherLayout gather(layout, 3, {0, 1, 2});
  EXPECT_TRUE(gather.even());
  EXPECT_EQ(gather.numel(), layout.whole_numel());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(gather.offset(i), layout.offset(i));
  EXPECT_FALSE(GatherLayout(layout, 3, {0}).even());
}

}  // namespace
}  // namespace stowage
