// Learns which of three features is largest: own modules, own data, nothing but installed headers.
#include <torch/torch.h>

#include <cstdlib>

#include "stowage/stowage.h"

class Largest : public stowage::Dataset {
 public:
  int64_t size() const override { return 960; }
  absl::StatusOr<stowage::Batch> Read(absl::Span<const stowage::SampleId> samples) const override {
    const int64_t n = static_cast<int64_t>(samples.size());
    torch::Tensor inputs = torch::empty({n, 3});
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t f = 0; f < 3; ++f) inputs[i][f] = std::sin(1.7 * samples[i].index + 2.9 * f);
    }
    stowage::Batch batch;
    batch.tensors = {{"inputs", inputs}, {"targets", inputs.argmax(1)}};
    batch.samples = batch.loss_terms = n;
    return batch;
  }
  stowage::DataShape shape() const override { return {0, {3}, 3, true}; }
  std::string fingerprint() const override { return "largest 960"; }
};

absl::StatusOr<stowage::Model> MakeNet(const stowage::ModelConfig&) {
  stowage::ModelBuilder b;
  b.Add("hidden", [] { return torch::nn::Sequential(torch::nn::Linear(3, 16), torch::nn::Tanh()); });
  b.Add("head", [] { return torch::nn::Linear(16, 3); });
  b.Loss([](const torch::Tensor& out, const stowage::Batch& batch) {
    return torch::cross_entropy_loss(out, batch.at("targets"), {}, at::Reduction::Sum);
  });
  return b.Build();
}

int main(int argc, char** argv) {
  stowage::Config config;
  config.train.steps = 60;
  config.train.global_batch = 24;
  config.train.micro_batch = 6;
  config.optimizer.lr = 3e-2;
  config.run.threads = 1;
  stowage::TrainOptions options;
  options.run_dir = argc > 1 ? argv[1] : "run";
  return stowage::TrainMain(
      MakeNet,
      [](const stowage::DataConfig&) -> absl::StatusOr<stowage::Data> {
        stowage::Data data;
        data.train = std::make_unique<Largest>();
        data.validation = std::make_unique<Largest>();
        return data;
      },
      config, options);
}
