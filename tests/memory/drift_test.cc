#include "tests/memory/drift.h"

#include <gtest/gtest.h>

#include <cmath>

#include "absl/strings/str_cat.h"

namespace stowage {
namespace {

class DriftTest : public testing::TestWithParam<const char*> {};

// STOWAGE_DRIFT_STEPS: 200, or 2,000 in the long test.
TEST_P(DriftTest, ARunHoldsNoMoreAtItsEndThanHalfWayThrough) {
  const absl::StatusOr<Drift> drift =
      MeasureDrift(STOWAGE_DRIFT_STEPS, GetParam(), absl::StrCat(testing::TempDir(), "/drift_", GetParam()));
  ASSERT_TRUE(drift.ok()) << drift.status();
  ASSERT_GT(drift->early.rss, 0);
  EXPECT_EQ(drift->late.tensors, drift->early.tensors);
  EXPECT_LT(drift->late.heap - drift->early.heap, drift->steps * 1024);
  EXPECT_LT(std::abs(drift->late.rss - drift->early.rss), drift->early.rss / 100)
      << drift->early.rss << " to " << drift->late.rss;
  RecordProperty("heap_bytes_a_step", absl::StrCat((drift->late.heap - drift->early.heap) / drift->steps));
  RecordProperty("rss_bytes", absl::StrCat(drift->late.rss - drift->early.rss));
}

INSTANTIATE_TEST_SUITE_P(Precisions, DriftTest, testing::Values("fp32", "bf16"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace stowage
