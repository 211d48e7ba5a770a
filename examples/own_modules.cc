// Own LibTorch modules, own loss, own dataset, no YAML: a convolutional net on Fashion-MNIST.
//
//   own_modules                 trains alone
//   mpirun -n 2 own_modules     the same losses on two ranks
#include <cstdlib>

#include "examples/fashion_data.h"
#include "examples/residual_block.h"
#include "stowage/stowage.h"

absl::StatusOr<stowage::Model> MakeNet(const stowage::ModelConfig&) {
  using namespace torch::nn;
  stowage::ModelBuilder b;
  b.Add("stem", [] { return Sequential(Conv2d(Conv2dOptions(1, 16, 3).stride(2)), GroupNorm(4, 16), ReLU()); });
  b.Add("block1", [] { return ResidualBlock(16); });
  b.Add("block2", [] { return ResidualBlock(16); });
  b.Add("head", [] { return Sequential(AdaptiveAvgPool2d(4), Flatten(), Linear(16 * 16, 10)); });
  b.Loss([](const torch::Tensor& out, const stowage::Batch& batch) {
    return torch::nn::functional::cross_entropy(
        out, batch.at("targets"), torch::nn::functional::CrossEntropyFuncOptions().reduction(torch::kSum));
  });
  return b.Build();
}

int main(int argc, char** argv) {
  stowage::Config config;
  config.run.name = "own_modules";
  config.train.steps = argc > 1 ? std::atoi(argv[1]) : 300;
  config.train.global_batch = 64;
  config.train.micro_batch = 16;
  config.train.eval_sequences = 1000;
  config.optimizer.lr = 3e-3;
  config.optimizer.schedule.warmup_steps = 20;
  return stowage::TrainMain(MakeNet, OpenFashionData, config);
}
