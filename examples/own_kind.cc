// A program with the whole `stowage` command and a kind of model of its own, sized in YAML:
//
//   own_kind train examples/own_kind.yaml --set model.options.blocks=3
//   own_kind eval runs/own_kind
//   own_kind --help
#include "examples/fashion_data.h"
#include "examples/residual_block.h"
#include "stowage/stowage.h"

absl::StatusOr<stowage::Model> MakeNet(const stowage::ModelConfig& config) {
  using namespace torch::nn;
  const int64_t blocks = stowage::Option<int64_t>(config, "blocks"),
                channels = stowage::Option<int64_t>(config, "channels");
  const double dropout = stowage::Option<double>(config, "dropout");
  if (channels % 4 != 0) return absl::InvalidArgumentError("model.options.channels: must be a multiple of 4");
  stowage::ModelBuilder b;
  b.Add("stem",
        [=] { return Sequential(Conv2d(Conv2dOptions(1, channels, 3).stride(2)), GroupNorm(4, channels), ReLU()); });
  for (int64_t i = 0; i < blocks; ++i) b.Add("block" + std::to_string(i), [=] { return ResidualBlock(channels); });
  b.Add("head",
        [=] { return Sequential(AdaptiveAvgPool2d(4), Flatten(), Dropout(dropout), Linear(16 * channels, 10)); });
  b.Loss([](const torch::Tensor& out, const stowage::Batch& batch) {
    return torch::nn::functional::cross_entropy(
        out, batch.at("targets"), torch::nn::functional::CrossEntropyFuncOptions().reduction(torch::kSum));
  });
  return b.Build();
}

int main(int argc, char** argv) {
  return stowage::Main(argc, argv, {{"my_net", {MakeNet, {{"blocks", 2}, {"channels", 16}, {"dropout", 0.1}}}}},
                       {{"my_fashion", OpenFashionData}});
}
