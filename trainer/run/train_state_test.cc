#include "trainer/run/train_state.h"

#include <gtest/gtest.h>

namespace stowage {
namespace {

TEST(TrainStateTest, ComesBackAsItWasThroughTextsAndLines) {
  TrainState state;
  state.micro_batch = 3;
  state.skipped_steps = 12;
  state.skipped_in_a_row = 2;
  state.loss_scale = 1e5 / 3.0;
  state.clean_steps = 1999;
  const auto texts = TextsOfLines(LinesOf(TextsOf(state)));
  EXPECT_EQ(texts, TextsOf(state));
  TrainState first;
  first.micro_batch = 6;
  const auto back = TrainStateOf(texts, first);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->micro_batch, 3);
  EXPECT_EQ(back->skipped_steps, 12);
  EXPECT_EQ(back->skipped_in_a_row, 2);
  EXPECT_EQ(back->loss_scale, 1e5 / 3.0);
  EXPECT_EQ(back->clean_steps, 1999);
}

TEST(TrainStateTest, WhatACheckpointDoesNotSayIsTheConfigs) {
  Config config;
  config.train.micro_batch = 5;
  config.train.loss_scale.kind = LossScaleValue::Kind::kDynamic;
  const auto state = TrainStateOf({{"skipped_steps", "1"}}, FirstTrainState(config));
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->micro_batch, 5);
  EXPECT_EQ(state->loss_scale, 65536.0);
  EXPECT_EQ(state->skipped_steps, 1);
}

TEST(TrainStateTest, ValuesThatCannotBeAreRefusedByName) {
  for (const char* value : {"0", "-1", "two", "", "2"}) {
    const auto state = TrainStateOf({{"micro_batch", value}}, TrainState());
    EXPECT_EQ(state.status().code(), absl::StatusCode::kDataLoss) << value;
    EXPECT_NE(state.status().message().find("micro_batch"), std::string::npos);
  }
  for (const char* value : {"0", "-2", "inf", "nan", "x"}) {
    EXPECT_FALSE(TrainStateOf({{"loss_scale", value}}, TrainState()).ok()) << value;
  }
}

}  // namespace
}  // namespace stowage
