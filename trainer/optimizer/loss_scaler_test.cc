#include "trainer/optimizer/loss_scaler.h"

#include <gtest/gtest.h>

namespace stowage {
namespace {

TrainConfig Dynamic(int64_t interval) {
  TrainConfig config;
  config.loss_scale.kind = LossScaleValue::Kind::kDynamic;
  config.loss_scale_interval = interval;
  return config;
}

TEST(LossScalerTest, BeginsAt65536AndWaits2000StepsUnlessToldOtherwise) {
  LossScaler scaler(Dynamic(TrainConfig().loss_scale_interval));
  EXPECT_EQ(scaler.scale(), 65536.0);
  for (int step = 0; step < 1999; ++step) scaler.Updated();
  EXPECT_EQ(scaler.scale(), 65536.0);
  scaler.Updated();
  EXPECT_EQ(scaler.scale(), 131072.0);
}

TEST(LossScalerTest, AnOverflowHalvesAndBeginsTheWindowAnew) {
  LossScaler scaler(Dynamic(3));
  scaler.Updated();
  scaler.Updated();
  scaler.Overflowed();
  EXPECT_EQ(scaler.scale(), 32768.0);
  scaler.Updated();
  scaler.Updated();
  EXPECT_EQ(scaler.scale(), 32768.0);
  scaler.Updated();
  EXPECT_EQ(scaler.scale(), 65536.0);
  EXPECT_EQ(scaler.clean_steps(), 0);
}

TEST(LossScalerTest, GoesOnWhereASavedOneStood) {
  LossScaler scaler(Dynamic(3));
  scaler.Restore(1024.0, 2);
  scaler.Updated();
  EXPECT_EQ(scaler.scale(), 2048.0);
}

TEST(LossScalerTest, StaysANormalNumber) {
  LossScaler scaler(Dynamic(1));
  for (int step = 0; step < 1000; ++step) scaler.Updated();
  EXPECT_EQ(scaler.scale(), LossScaler::kMost);
  for (int step = 0; step < 1000; ++step) scaler.Overflowed();
  EXPECT_EQ(scaler.scale(), LossScaler::kLeast);
}

TEST(LossScalerTest, NoneAndFixedStayAsTheyAre) {
  TrainConfig config;
  LossScaler none(config);
  EXPECT_FALSE(none.on());
  config.loss_scale.kind = LossScaleValue::Kind::kFixed;
  config.loss_scale.fixed = 128.0;
  LossScaler fixed(config);
  for (LossScaler* scaler : {&none, &fixed}) {
    const double before = scaler->scale();
    scaler->Overflowed();
    for (int step = 0; step < 5000; ++step) scaler->Updated();
    scaler->Restore(4.0, 1);
    EXPECT_EQ(scaler->scale(), before);
    EXPECT_EQ(scaler->clean_steps(), 0);
  }
  EXPECT_EQ(fixed.scale(), 128.0);
}

}  // namespace
}  // namespace stowage
