#include "memory/outside/peak_sampler.h"

#include <sys/resource.h>

#include <memory>

#include "gtest/gtest.h"
#include "memory/outside/address_ranges.h"
#include "memory/outside/test_pages.h"

namespace stowage {
namespace {

constexpr int64_t kMiB = 1 << 20;

// Tensors' pages of which a part is live.
class PeakSamplerTest : public testing::Test {
 protected:
  void Hold(int64_t bytes) {
    pages_ = TestPages::Anonymous(bytes);
    range_ = std::make_unique<RegisteredRange>(RangeKind::kTensors, pages_->data(), bytes);
    ledger_.Allocate(Category::kActivations, bytes);
  }
  void Drop() {
    ledger_.Free(Category::kActivations, pages_->bytes());
    range_.reset();
    pages_.reset();
  }

  Ledger ledger_;
  std::unique_ptr<TestPages> pages_;
  std::unique_ptr<RegisteredRange> range_;
  std::string moment_ = "none";
  PeakSampler sampler_{ledger_,
                       [this] {
                         const int64_t bytes = pages_ == nullptr ? 0 : pages_->bytes();
                         return PeakSampler::Pages{bytes, bytes};
                       },
                       [this] { return moment_; }, 0, 1.0};
};

TEST_F(PeakSamplerTest, KeepsTheMomentWithTheMostInRamAndExplainsIt) {
  ledger_.Allocate(Category::kParameters, 0);
  Hold(96 * kMiB);
  moment_ = "high";
  sampler_.BeforeFree();
  Drop();
  moment_ = "low";
  Hold(8 * kMiB);
  sampler_.BeforeFree();
  const auto sample = sampler_.Finish();
  ASSERT_TRUE(sample.ok()) << sample.status();
  EXPECT_EQ(sample->moment, "high");
  EXPECT_EQ(sample->outside.tensor_bytes, 96 * kMiB);
  EXPECT_EQ(sample->live[static_cast<int>(Category::kActivations)], 96 * kMiB);
  EXPECT_GE(sample->rss_peak_bytes, 96 * kMiB);
  EXPECT_EQ(sampler_.looks(), 1);
  Drop();
}

TEST_F(PeakSamplerTest, LooksOnlyAtNewHeights) {
  Hold(64 * kMiB);
  sampler_.BeforeFree();
  for (int i = 0; i < 1000; ++i) sampler_.BeforeFree();
  EXPECT_EQ(sampler_.looks(), 1);
  Drop();
}

TEST_F(PeakSamplerTest, AHeightIsLookedAtAgainAfterALesserMomentHasWon) {
  Hold(64 * kMiB);
  moment_ = "first height";
  sampler_.BeforeFree();
  Drop();
  // Something else has grown: with few tensors there is now more in RAM than there was at the height.
  const auto grown = TestPages::Anonymous(96 * kMiB);
  moment_ = "lesser";
  ASSERT_EQ(sampler_.Finish()->moment, "lesser");
  Hold(64 * kMiB);
  moment_ = "second height";
  sampler_.BeforeFree();
  EXPECT_EQ(sampler_.Finish()->moment, "second height");
  Drop();
}

TEST_F(PeakSamplerTest, WithoutAnyMomentItLooksAtTheEnd) {
  moment_ = "end";
  const auto sample = sampler_.Finish();
  ASSERT_TRUE(sample.ok()) << sample.status();
  EXPECT_EQ(sample->moment, "end");
  EXPECT_EQ(sample->outside.tensor_bytes, 0);
  EXPECT_GT(sample->outside.rss_bytes, 0);
}

TEST_F(PeakSamplerTest, WhereTheSystemDoesNotLetItselfBeReadTheErrorSaysWhat) {
  // As without /proc: nothing can be opened.
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  Hold(4 * kMiB);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  sampler_.BeforeFree();
  const absl::Status measured = MeasureOutside({}).status();
  const auto sample = sampler_.Finish();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(measured.code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(measured.message().find("/proc/self/smaps"), absl::string_view::npos) << measured;
  EXPECT_EQ(sample.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(sample.status().message().find("/proc/self/"), absl::string_view::npos) << sample.status();
  // What could not be read then can be now.
  EXPECT_TRUE(sampler_.Finish().ok());
  Drop();
}

}  // namespace
}  // namespace stowage
