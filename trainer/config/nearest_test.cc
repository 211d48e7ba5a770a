#include "trainer/config/nearest.h"

#include "gtest/gtest.h"

namespace stowage {
namespace {

TEST(NearestTest, DistanceCountsInsertsDeletesChangesAndSwaps) {
  EXPECT_EQ(EditDistance("", ""), 0);
  EXPECT_EQ(EditDistance("width", "width"), 0);
  EXPECT_EQ(EditDistance("witdh", "width"), 1) << "a swap is one mistake";
  EXPECT_EQ(EditDistance("wdth", "width"), 1);
  EXPECT_EQ(EditDistance("widthh", "width"), 1);
  EXPECT_EQ(EditDistance("midth", "width"), 1);
  EXPECT_EQ(EditDistance("", "abc"), 3);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3);
}

TEST(NearestTest, FindsTheNearestAndNothingThatIsFar) {
  EXPECT_EQ(Nearest("stps", {"epochs", "steps"}), "steps");
  EXPECT_EQ(Nearest("zebra", {"epochs", "steps"}), "");
  EXPECT_EQ(Nearest("lr", {"eps", "kind"}), "");
  EXPECT_EQ(Nearest("x", {}), "");
}

}  // namespace
}  // namespace stowage
