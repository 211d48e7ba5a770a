// Memory that is enough for some steps and not for others: sequences of all lengths under a cap of 60 % of what the
// longest ones together would take.
#include <ATen/Functions.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/linear.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "memory/block_source.h"
#include "memory/counting_allocator.h"
#include "tests/steps/step_run.h"
#include "trainer/module/model_builder.h"
#include "trainer/run/process.h"

namespace stowage {
namespace {

constexpr int64_t kSamples = 100, kBatch = 10, kSteps = 500, kLeast = 32, kMost = 512, kWidth = 16;

int64_t LengthOf(int64_t sample) {
  return kLeast + static_cast<int64_t>(HashKey({static_cast<uint64_t>(sample)}) % (kMost - kLeast + 1));
}

// Sequences of vectors, padded with zeros to the longest of the micro-batch. The loss counts what is no padding.
class Sequences final : public Dataset {
 public:
  explicit Sequences(bool longest) : longest_(longest) {}

  int64_t size() const override { return kSamples; }
  std::string fingerprint() const override { return "sequences"; }
  DataShape shape() const override { return {}; }
  absl::StatusOr<Batch> Read(absl::Span<const SampleId> samples) const override {
    int64_t longest = 0;
    for (const SampleId& id : samples) longest = std::max(longest, Length(id));
    Batch batch;
    batch.samples = static_cast<int64_t>(samples.size());
    at::Tensor inputs = at::zeros({batch.samples, longest, kWidth}), ids = at::empty({batch.samples}, at::kLong);
    for (int64_t s = 0; s < batch.samples; ++s) {
      const int64_t length = Length(samples[s]);
      ids.data_ptr<int64_t>()[s] = samples[s].index;
      batch.loss_terms += length;
      float* const row = inputs.data_ptr<float>() + s * longest * kWidth;
      for (int64_t i = 0; i < length * kWidth; ++i)
        row[i] = static_cast<float>((samples[s].index + i) % 7) * 0.1f + 0.1f;
    }
    batch.tensors = {{"inputs", inputs}, {"ids", ids}};
    return batch;
  }

 private:
  int64_t Length(const SampleId& id) const { return longest_ ? kMost : LengthOf(id.index); }

  const bool longest_;
};

// Counts the samples that went through it, as part of the model's state: a step that was voided or skipped takes back
// what it counted.
struct CountingNet : torch::nn::Module {
  CountingNet() {
    in = register_module("in", torch::nn::Linear(kWidth, 64));
    out = register_module("out", torch::nn::Linear(64, kWidth));
    seen = register_buffer("seen", at::zeros({kSamples}, at::kLong));
  }
  at::Tensor forward(const at::Tensor& inputs, const Batch& batch) {
    seen.index_add_(0, batch.at("ids"), at::ones({batch.samples}, at::kLong));
    return out(at::relu(in(inputs)));
  }
  torch::nn::Linear in{nullptr}, out{nullptr};
  at::Tensor seen;
};

absl::StatusOr<Model> MakeNet(const ModelConfig&) {
  ModelBuilder b;
  b.Add("net", [] { return std::make_shared<CountingNet>(); });
  b.Loss([](const at::Tensor& output, const Batch& batch) {
    const at::Tensor& inputs = batch.at("inputs");
    return ((output - inputs) * (inputs != 0)).square().sum();
  });
  return b.Build();
}

// Gives out no more than `most` bytes at once.
class CappedSource final : public BlockSource {
 public:
  explicit CappedSource(BlockSource* source) : source_(source) {}
  void Cap(int64_t most) { most_ = most; }
  int64_t peak() const { return peak_; }

  void* Allocate(size_t bytes) override {
    const int64_t size = static_cast<int64_t>(bytes);
    if (live_.fetch_add(size) + size <= most_) {
      void* const block = source_->Allocate(bytes);
      if (block != nullptr) {
        if (live_ > peak_) peak_ = live_.load();
        return block;
      }
    }
    live_ -= size;
    return nullptr;
  }
  void Free(void* block, size_t bytes) override {
    live_ -= static_cast<int64_t>(bytes);
    source_->Free(block, bytes);
  }

 private:
  BlockSource* const source_;
  std::atomic<int64_t> live_{0}, peak_{0}, most_{int64_t{1} << 40};
};

StepRun RunOf(const std::string& name, bool longest) {
  StepRun run;
  run.folder = absl::StrCat(testing::TempDir(), "/pressure_", name);
  run.data = [longest] { return std::make_unique<Sequences>(longest); };
  run.own.models["counting"] = ModelKind(MakeNet);
  Config& config = run.config;
  config.model.kind = "counting";
  config.train.steps = kSteps;
  config.train.global_batch = kBatch;
  config.optimizer.lr = 1e-3;
  return run;
}

TEST(PressureTest, FiveHundredStepsUnderACapOf60PercentLoseAndDoubleNoSample) {
  ASSERT_TRUE(SetUpProcess(1).ok());
  static auto* const measured = new CappedSource(InstalledPool());
  static auto* const capped = new CappedSource(InstalledPool());
  // The worst case: every sequence as long as the longest.
  StepRun worst = RunOf("worst", true);
  worst.config.train.steps = 2;
  SetBlockSource(measured);
  for (const auto& outcome : TrainRanks(worst)) ASSERT_TRUE(outcome.ok()) << outcome.status();
  SetBlockSource(nullptr);

  StepRun run = RunOf("capped", false);
  capped->Cap(measured->peak() * 60 / 100);
  SetBlockSource(capped);
  const auto outcomes = TrainRanks(run);
  SetBlockSource(nullptr);
  for (const auto& outcome : outcomes) ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_LE(capped->peak(), measured->peak() * 60 / 100);

  const auto report = ReportOf(run.folder);
  EXPECT_GE(report["voided_steps"], 1);
  EXPECT_LT(report["micro_batch"], kBatch);
  EXPECT_EQ(report["steps"], kSteps);
  int64_t all = 0, terms = 0;
  for (int64_t sample = 0; sample < kSamples; ++sample) all += LengthOf(sample);
  for (const auto& line : StepLines(run.folder)) terms += line["tokens"].get<int64_t>();
  EXPECT_EQ(terms, all * (kSteps * kBatch / kSamples));
  const std::vector<char> seen = WeightsAt(run.folder, kSteps).at("net.seen");
  ASSERT_EQ(seen.size(), kSamples * sizeof(int64_t));
  for (int64_t sample = 0; sample < kSamples; ++sample) {
    int64_t times = 0;
    std::memcpy(&times, seen.data() + sample * sizeof(int64_t), sizeof(times));
    EXPECT_EQ(times, kSteps * kBatch / kSamples) << "sample " << sample;
  }
}

}  // namespace
}  // namespace stowage
