// Kinds that a program brings: what is refused, and that a checkpoint holds all of such a model, its buffers included.
#include "trainer/run/own_kinds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "sharding/solo_communicator.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/config/load.h"
#include "trainer/module/model_builder.h"
#include "trainer/run/model_state.h"
#include "trainer/run/module_buffers.h"

namespace stowage {
namespace {

using testing::HasSubstr;

absl::StatusOr<Model> MakeNet(const ModelConfig& config) {
  const int64_t width = Option<int64_t>(config, "width");
  ModelBuilder b;
  b.Add("stem", [width] { return torch::nn::Sequential(torch::nn::Linear(3, width), torch::nn::BatchNorm1d(width)); });
  b.Add("head", [width] { return torch::nn::Linear(width, 2); });
  b.Loss([](const at::Tensor& out, const Batch&) { return out.sum(); });
  return b.Build();
}

OwnKinds MyKinds() {
  OwnKinds own;
  own.models["my_net"] = ModelKind(MakeNet, {{"width", 4}});
  return own;
}

Config MyConfig(int64_t width) {
  Config config;
  config.model.kind = "my_net";
  config.model.options["width"] = width;
  config.sharding.zero = 0;
  config.train.reduce_per = "update";
  return config;
}

std::string MessageOf(const OwnKinds& own) { return std::string(CheckOwnKinds(own).message()); }

TEST(OwnKindsTest, NamesThatCannotBeAreRefused) {
  EXPECT_TRUE(CheckOwnKinds(MyKinds()).ok());
  OwnKinds own;
  own.models["gpt2"] = ModelKind(MakeNet);
  EXPECT_EQ(MessageOf(own), "model kind gpt2 is built in; give yours another name");
  own.models.clear();
  own.models["my net"] = ModelKind(MakeNet);
  EXPECT_THAT(MessageOf(own), HasSubstr("model kind \"my net\": a name is letters"));
  own.models.clear();
  own.models["none"] = ModelKind(MakeNet);
  EXPECT_THAT(MessageOf(own), HasSubstr("model kind \"none\""));
  own.models.clear();
  own.models["empty"] = ModelKind();
  EXPECT_EQ(MessageOf(own), "model kind empty has no factory");
  own.models.clear();
  own.data["kjv"] = [](const DataConfig&) -> absl::StatusOr<Data> { return absl::InternalError("never called"); };
  EXPECT_EQ(MessageOf(own), "data source kjv is built in; give yours another name");
}

TEST(OwnKindsTest, AKindThatNobodyRegisteredNamesThoseThereAre) {
  ModelConfig config;
  config.kind = "your_net";
  const std::string message(MakeOwnModel(MyKinds(), config).status().message());
  EXPECT_THAT(message, HasSubstr("your_net is not registered"));
  EXPECT_THAT(message, HasSubstr("gpt2"));
  EXPECT_THAT(message, HasSubstr("my_net"));
}

TEST(OwnKindsTest, WhatAFactoryThrowsIsAStatusThatNamesTheKind) {
  OwnKinds own;
  own.models["bad"] =
      ModelKind([](const ModelConfig&) -> absl::StatusOr<Model> { throw std::runtime_error("no luck"); });
  ModelConfig config;
  config.kind = "bad";
  EXPECT_EQ(MakeOwnModel(own, config).status().message(), "model kind bad: no luck");
}

std::vector<std::vector<float>> FloatBuffers(const Model& model) {
  std::vector<std::vector<float>> buffers;
  for (const ModuleBuffer& b : BuffersOf(model)) {
    if (b.dtype != DType::kFloat32) continue;
    buffers.emplace_back(static_cast<const float*>(b.data), static_cast<const float*>(b.data) + b.numel);
  }
  return buffers;
}

class OwnCheckpointTest : public testing::Test {
 protected:
  ModelState Make(int64_t width) {
    absl::StatusOr<ModelState> made = MakeModelState(MyConfig(width), 1, 0, MyKinds());
    EXPECT_TRUE(made.ok()) << made.status();
    EXPECT_TRUE(InitializeParameters(7, solo_, &*made).ok());
    return *std::move(made);
  }

  // Saves without optimizer state; the path of the checkpoint.
  std::string Save(const std::vector<TensorPiece>& pieces, const std::string& name) {
    CheckpointInfo info;
    info.config_yaml = "x: 1\n";
    const auto path = SaveCheckpoint(solo_, absl::StrCat(testing::TempDir(), "/own_", name), info, pieces, 1);
    EXPECT_TRUE(path.ok()) << path.status();
    return *path;
  }

  absl::Status Restore(const std::string& path, ModelState* state) {
    const auto reader = CheckpointReader::Open(path);
    EXPECT_TRUE(reader.ok()) << reader.status();
    return RestoreState(&*reader, nullptr, solo_, state);
  }

  SoloCommunicator solo_;
  const std::unique_ptr<Optimizer> optimizer_ = *MakeOptimizer(OptimizerConfig());
};

TEST_F(OwnCheckpointTest, BuffersAreSavedAndComeBack) {
  ModelState state = Make(4);
  float value = 0.5f;
  for (const ModuleBuffer& b : BuffersOf(state.model)) {
    if (b.dtype == DType::kFloat32) std::fill_n(static_cast<float*>(b.data), b.numel, value += 1.0f);
    if (b.dtype == DType::kInt64) *static_cast<int64_t*>(b.data) = 42;
  }
  const std::string path = Save(PiecesToSave(*optimizer_, 0, 1, state), "buffers");
  ModelState back = Make(4);
  EXPECT_NE(FloatBuffers(back.model), FloatBuffers(state.model));
  const absl::Status restored = Restore(path, &back);
  ASSERT_TRUE(restored.ok()) << restored;
  EXPECT_EQ(FloatBuffers(back.model), FloatBuffers(state.model));
  for (const ModuleBuffer& b : BuffersOf(back.model)) {
    if (b.dtype == DType::kInt64) {
      EXPECT_EQ(*static_cast<const int64_t*>(b.data), 42) << b.name;
    }
  }
}

TEST_F(OwnCheckpointTest, AMissingBufferIsNamedAndNothingIsChanged) {
  ModelState state = Make(4);
  std::vector<TensorPiece> pieces = PiecesToSave(*optimizer_, 0, 1, state);
  const size_t before = pieces.size();
  pieces.erase(std::remove_if(pieces.begin(), pieces.end(),
                              [](const TensorPiece& p) { return p.name == "stem.1.running_mean"; }),
               pieces.end());
  ASSERT_EQ(pieces.size(), before - 1);
  const std::string path = Save(pieces, "missing");
  const absl::Status status = Restore(path, &state);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("stem.1.running_mean"));
}

TEST_F(OwnCheckpointTest, ABufferOfAnotherShapeOrTypeIsNamed) {
  ModelState four = Make(4), five = Make(5);
  const std::string path = Save(PiecesToSave(*optimizer_, 0, 1, four), "shape");
  EXPECT_THAT(std::string(Restore(path, &five).message()), HasSubstr("stem.0.weight"));
  std::vector<TensorPiece> pieces = PiecesToSave(*optimizer_, 0, 1, four);
  const std::vector<double> doubles(4, 1.0);
  for (TensorPiece& p : pieces) {
    if (p.name != "stem.1.running_var") continue;
    p.dtype = DType::kFloat64;
    p.data = doubles.data();
  }
  EXPECT_THAT(std::string(Restore(Save(pieces, "dtype"), &four).message()), HasSubstr("stem.1.running_var"));
}

}  // namespace
}  // namespace stowage
