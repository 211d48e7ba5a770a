// A program whose modules do what a rehearsal cannot play, or what it cannot foresee; model.options.does says which:
//
//   odd_modules plan odd.yaml --set model.options.does=reads_value
#include <c10/core/DispatchKey.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>
#include <torch/torch.h>

#include <string>
#include <thread>
#include <vector>

#include "stowage/stowage.h"

namespace {

// An operator that is known on the CPU alone.
at::Tensor Mystery(const at::Tensor& x) { return x * 2; }

TORCH_LIBRARY(odd, library) { library.def("mystery(Tensor x) -> Tensor"); }
TORCH_LIBRARY_IMPL(odd, CPU, library) { library.impl("mystery", &Mystery); }

at::Tensor CallMystery(const at::Tensor& x) {
  static const auto mystery =
      c10::Dispatcher::singleton().findSchemaOrThrow("odd::mystery", "").typed<at::Tensor(const at::Tensor&)>();
  at::NoGradGuard no_grad;
  return mystery.call(x);
}

bool IsRehearsed() { return c10::impl::tls_is_dispatch_key_included(c10::DispatchKey::Fake); }

struct OddImpl : torch::nn::Module {
  OddImpl(std::string what, int64_t width) : does(std::move(what)) {
    linear = register_module("linear", torch::nn::Linear(width, width));
  }

  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor y = torch::relu(linear(x));
    if (does == "reads_value") return y.detach().sum().item<float>() > 1e30f ? y * 2 : y;
    if (does == "shape_of_values") return y + y.detach().masked_select(y.detach() > 0).sum();
    if (does == "unknown_operator") return y + CallMystery(y);
    if (does == "keeps_more") kept.push_back(y.detach().clone());
    if (does == "keeps_one") kept.assign(1, y.detach().clone());
    if (does == "thread") {
      torch::Tensor zeros;
      std::thread other([&] { zeros = torch::zeros({64, 1024}); });
      other.join();
      return y + zeros.sum();
    }
    // More than was rehearsed, from forward to the end of it.
    if (does == "takes_more" && !IsRehearsed()) return y + torch::zeros({256, 1024}).sum();
    return y;
  }

  const std::string does;
  torch::nn::Linear linear{nullptr};
  std::vector<torch::Tensor> kept;
};
TORCH_MODULE(Odd);

absl::StatusOr<stowage::Model> MakeOdd(const stowage::ModelConfig& config) {
  const std::string does = stowage::Option<std::string>(config, "does");
  const int64_t width = stowage::Option<int64_t>(config, "width");
  stowage::ModelBuilder b;
  b.Add("stem", [=] { return torch::nn::Sequential(torch::nn::Flatten(), torch::nn::Linear(28 * 28, width)); });
  b.Add("odd", [=] { return Odd(does, width); });
  b.Add("head", [=] { return torch::nn::Linear(width, 10); });
  b.Loss([](const torch::Tensor& out, const stowage::Batch& batch) {
    return torch::nn::functional::cross_entropy(
        out, batch.at("targets"), torch::nn::functional::CrossEntropyFuncOptions().reduction(torch::kSum));
  });
  return b.Build();
}

}  // namespace

int main(int argc, char** argv) {
  return stowage::Main(argc, argv, {{"odd", {MakeOdd, {{"does", std::string("nothing odd")}, {"width", 64}}}}}, {});
}
