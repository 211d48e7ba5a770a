// A module of one's own, as one writes it for LibTorch: two convolutions around a shortcut.
#ifndef STOWAGE_EXAMPLES_RESIDUAL_BLOCK_H_
#define STOWAGE_EXAMPLES_RESIDUAL_BLOCK_H_

#include <torch/torch.h>

struct ResidualBlockImpl : torch::nn::Module {
  explicit ResidualBlockImpl(int64_t channels) {
    const auto options = torch::nn::Conv2dOptions(channels, channels, 3).padding(1).bias(false);
    conv1 = register_module("conv1", torch::nn::Conv2d(options));
    norm1 = register_module("norm1", torch::nn::GroupNorm(4, channels));
    conv2 = register_module("conv2", torch::nn::Conv2d(options));
    norm2 = register_module("norm2", torch::nn::GroupNorm(4, channels));
  }

  torch::Tensor forward(const torch::Tensor& x) { return torch::relu(x + norm2(conv2(torch::relu(norm1(conv1(x)))))); }

  torch::nn::Conv2d conv1{nullptr}, conv2{nullptr};
  torch::nn::GroupNorm norm1{nullptr}, norm2{nullptr};
};
TORCH_MODULE(ResidualBlock);

#endif  // STOWAGE_EXAMPLES_RESIDUAL_BLOCK_H_
