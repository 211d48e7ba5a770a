// What every built-in kind promises: names, counts, shapes from end to end, both compute dtypes, and clear refusals.
#include "trainer/model/model_kinds.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace stowage {
namespace {

constexpr int64_t kSamples = 12, kContext = 5, kVocabulary = 11, kClasses = 4;

ModelConfig Small(const std::string& kind) {
  ModelConfig config;
  config.kind = kind;
  config.layers = 3;
  config.width = 16;
  config.heads = 4;
  config.kv_heads = 2;
  config.context = kContext;
  config.ffn = 24;
  config.vocabulary = kVocabulary;
  config.tie = false;
  return config;
}

ModelConfig OfSamples(const std::string& kind, std::vector<int64_t> input, bool classes = true) {
  ModelConfig config = Small(kind);
  config.vocabulary.reset();
  config.input = std::move(input);
  config.outputs = kClasses;
  config.loss = classes ? "cross_entropy" : "mse";
  return config;
}

// Every kind in each of its forms.
std::vector<ModelConfig> AllForms() {
  std::vector<ModelConfig> forms = {Small("gpt2"),
                                    Small("llama"),
                                    Small("rnn"),
                                    OfSamples("mlp", {2, 3, 4}),
                                    OfSamples("mlp", {6}, false),
                                    OfSamples("cnn", {2, 8, 9}),
                                    OfSamples("rnn", {5, 6}),
                                    OfSamples("rnn", {5, 6}, false)};
  for (const char* kind : {"gpt2", "llama", "rnn"}) {
    forms.push_back(Small(kind));
    forms.back().tie = true;
    forms.back().bias = false;
  }
  forms.push_back(Small("rnn"));
  forms.back().cell = "gru";
  forms.push_back(OfSamples("rnn", {5, 6}));
  forms.back().cell = "gru";
  forms.push_back(OfSamples("mlp", {6}));
  forms.back().bias = false;
  forms.push_back(OfSamples("cnn", {1, 4, 3}));
  forms.back().layers = 1;
  return forms;
}

std::string NameOf(const ModelConfig& config) {
  return absl::StrCat(config.kind, " ", config.cell, " ", config.input ? absl::StrCat(config.input->size()) : "tokens",
                      " ", config.loss, config.bias ? "" : " no bias", config.tie.value_or(false) ? " tied" : "");
}

Batch BatchFor(const ModelConfig& config) {
  Batch batch;
  batch.samples = kSamples;
  if (!config.input) {
    batch.tensors["tokens"] = at::randint(0, kVocabulary, {kSamples, kContext}, at::kLong);
    batch.tensors["targets"] = at::randint(0, kVocabulary, {kSamples, kContext}, at::kLong);
    return batch;
  }
  std::vector<int64_t> shape = {kSamples};
  shape.insert(shape.end(), config.input->begin(), config.input->end());
  batch.tensors["inputs"] = at::rand(shape);
  batch.tensors["targets"] =
      config.loss == "mse" ? at::randn({kSamples, kClasses}) : at::randint(0, kClasses, {kSamples}, at::kLong);
  return batch;
}

// A model with values, run from end to end as one graph.
class Net {
 public:
  Net(Model model, at::ScalarType compute) : model_(std::move(model)), compute_(compute), slots_(model_.groups.size()) {
    at::manual_seed(5);
    for (size_t g = 0; g < model_.groups.size(); ++g) {
      slots_[g] = std::vector<GradientSlot>(model_.groups[g].parameters.size());
      values_.emplace_back();
      gradients_.emplace_back();
      for (size_t i = 0; i < slots_[g].size(); ++i) {
        const ParameterSpec& p = model_.groups[g].parameters[i];
        at::Tensor value = p.init.kind == Init::Kind::kOnes ? at::ones(p.shape) : at::randn(p.shape) * 0.2;
        if (!p.keep_fp32) value = value.to(compute);
        values_[g].push_back(value.set_requires_grad(true));
        gradients_[g].push_back(at::zeros(p.shape));
        slots_[g][i].Bind(gradients_[g][i]);
      }
    }
  }

  std::vector<at::Tensor> Run(const Batch& batch, PassMode mode) {
    at::AutoGradMode gradients(mode == PassMode::kTrain);
    std::vector<at::Tensor> flow;
    SegmentContext context;
    context.mode = mode;
    context.batch = &batch;
    context.compute = compute_;
    for (const SegmentSpec& segment : model_.segments) {
      std::vector<Parameter> parameters;
      for (const ParameterId& id : segment.parameters) {
        parameters.push_back(
            {values_[id.group][id.parameter], mode == PassMode::kTrain ? &slots_[id.group][id.parameter] : nullptr});
      }
      flow = segment.segment->Forward(flow, parameters, context);
    }
    return flow;
  }

  // Loss of a training pass; afterwards gradient() of every parameter.
  double Train(const Batch& batch) {
    const at::Tensor loss = Run(batch, PassMode::kTrain)[0];
    std::vector<at::Tensor> leaves;
    for (auto& group : values_) leaves.insert(leaves.end(), group.begin(), group.end());
    const auto found = torch::autograd::grad({loss}, leaves, {}, false, false, /*allow_unused=*/true);
    size_t next = 0;
    for (auto& group : slots_) {
      for (GradientSlot& slot : group) {
        const at::Tensor& gradient = found[next++];
        if (gradient.defined()) slot.Add(gradient);
      }
    }
    return loss.item<double>();
  }

  const Model& model() const { return model_; }
  at::Tensor& value(size_t g, size_t i) { return values_[g][i]; }
  const at::Tensor& gradient(size_t g, size_t i) const { return gradients_[g][i]; }

 private:
  Model model_;
  at::ScalarType compute_;
  std::vector<std::vector<at::Tensor>> values_, gradients_;
  std::vector<std::vector<GradientSlot>> slots_;
};

Model Made(const ModelConfig& config) { return *MakeModel(BuiltInModelKinds(), config); }

TEST(BuiltInModelsTest, NamesAreUniqueAndEveryParameterIsUsed) {
  for (const ModelConfig& config : AllForms()) {
    SCOPED_TRACE(NameOf(config));
    const Model model = Made(config);
    std::set<std::string> names, segments;
    std::set<std::pair<int, int>> used;
    size_t parameters = 0;
    for (const GroupSpec& g : model.groups) {
      EXPECT_FALSE(g.parameters.empty()) << g.name;
      for (const ParameterSpec& p : g.parameters) names.insert(p.name);
      parameters += g.parameters.size();
    }
    for (const SegmentSpec& s : model.segments) {
      segments.insert(s.name);
      for (const ParameterId& id : s.parameters) used.insert({id.group, id.parameter});
    }
    EXPECT_EQ(names.size(), parameters);
    EXPECT_EQ(used.size(), parameters);
    EXPECT_EQ(segments.size(), model.segments.size());
  }
}

// A central difference along each parameter's gradient knows nothing of autograd or of slots. Tolerance: a ReLU that
// switches within the step bends the loss; a gradient that is lost or doubled is off by half of the slope or more.
TEST(BuiltInModelsTest, GradientsOfAllParametersAreTheSlopeOfTheLoss) {
  for (const ModelConfig& config : AllForms()) {
    SCOPED_TRACE(NameOf(config));
    Net net(Made(config), at::kFloat);
    const Batch batch = BatchFor(config);
    net.Train(batch);
    const auto loss = [&] { return net.Run(batch, PassMode::kEvaluate)[0].item<double>(); };
    for (size_t g = 0; g < net.model().groups.size(); ++g) {
      for (size_t i = 0; i < net.model().groups[g].parameters.size(); ++i) {
        const at::Tensor direction = net.gradient(g, i) / net.gradient(g, i).norm().clamp_min(1e-6);
        const double slope = (net.gradient(g, i) * direction).sum().item<double>();
        at::Tensor value = net.value(g, i).detach();
        const double step = 3e-3;
        value.add_(direction, step);
        const double above = loss();
        value.add_(direction, -2 * step);
        const double below = loss();
        value.add_(direction, step);
        EXPECT_NEAR((above - below) / (2 * step), slope, 0.02 + 0.15 * slope)
            << net.model().groups[g].parameters[i].name;
      }
    }
  }
}

// bf16 keeps eight bits: a loss is off by some 0.4 % a rounding. A gradient keeps its direction but for the ReLUs whose
// input is so near to zero that rounding switches them; a part that is lost or computed of wrong numbers would turn it
// much further.
TEST(BuiltInModelsTest, ComputeInBf16AsInFp32) {
  for (const ModelConfig& config : AllForms()) {
    SCOPED_TRACE(NameOf(config));
    at::manual_seed(1);
    const Batch batch = BatchFor(config);
    Net fp32(Made(config), at::kFloat), bf16(Made(config), at::kBFloat16);
    const double expected = fp32.Train(batch);
    EXPECT_NEAR(bf16.Train(batch), expected, 0.02 * expected);
    double dot = 0, a = 0, b = 0;
    for (size_t g = 0; g < fp32.model().groups.size(); ++g) {
      for (size_t i = 0; i < fp32.model().groups[g].parameters.size(); ++i) {
        const at::Tensor &x = fp32.gradient(g, i), &y = bf16.gradient(g, i);
        dot += (x * y).sum().item<double>();
        a += x.square().sum().item<double>();
        b += y.square().sum().item<double>();
      }
    }
    EXPECT_GT(dot / std::sqrt(a * b), 0.96);
  }
}

TEST(BuiltInModelsTest, ClassHeadsCountWhatTheyClassRight) {
  for (const ModelConfig& config : {OfSamples("mlp", {6}), OfSamples("cnn", {2, 8, 9}), OfSamples("rnn", {5, 6})}) {
    SCOPED_TRACE(NameOf(config));
    Net net(Made(config), at::kFloat);
    Batch batch = BatchFor(config);
    const at::Tensor scores = net.Run(batch, PassMode::kPredict)[0];
    ASSERT_EQ(scores.sizes(), (std::vector<int64_t>{kSamples, kClasses}));
    batch.tensors["targets"] = scores.argmax(1);
    batch.tensors["targets"][0] = (batch.tensors["targets"][0] + 1) % kClasses;  // one is wrong
    const std::vector<at::Tensor> result = net.Run(batch, PassMode::kEvaluate);
    ASSERT_EQ(result.size(), 2u);
    EXPECT_EQ(result[1].item<int64_t>(), kSamples - 1);
  }
}

TEST(BuiltInModelsTest, DropoutActsInTrainingOnly) {
  for (ModelConfig config : AllForms()) {
    SCOPED_TRACE(NameOf(config));
    Net plain(Made(config), at::kFloat);
    config.dropout = 0.5;
    Net net(Made(config), at::kFloat);
    const Batch batch = BatchFor(config);
    const double loss = plain.Run(batch, PassMode::kEvaluate)[0].item<double>();
    EXPECT_EQ(net.Run(batch, PassMode::kEvaluate)[0].item<double>(), loss);
    EXPECT_NE(net.Run(batch, PassMode::kTrain)[0].item<double>(), loss);
  }
}

int64_t Count(const Model& model) {
  int64_t count = 0;
  for (const GroupSpec& g : model.groups) {
    for (const ParameterSpec& p : g.parameters) count += p.numel();
  }
  return count;
}

TEST(LlamaTest, HasThePublishedNumberOfParameters) {
  ModelConfig config;
  config.kind = "llama";
  config.layers = 32;
  config.width = 4096;
  config.heads = 32;
  config.kv_heads = 32;
  config.ffn = 11008;
  config.vocabulary = 32000;
  config.tie = false;
  EXPECT_EQ(Count(Made(config)), 6738415616);  // Llama 2 7B
  config.layers = 22;                          // TinyLlama 1.1B, with grouped queries
  config.width = 2048;
  config.kv_heads = 4;
  config.ffn = 5632;
  EXPECT_EQ(Count(Made(config)), 1100048384);
}

TEST(LlamaTest, WhatItSaysOfATokenDependsOnDistancesNotOnPlaces) {
  // Without positions of its own in the embedding, the model sees place only through rotation, which keeps distances: a
  // causal model's output at t must not change when the tokens after t do, and must when those before t change places.
  Net net(Made(Small("llama")), at::kFloat);
  Batch batch;
  batch.samples = 3;
  batch.tensors["tokens"] = at::tensor({1, 2, 3, 4, 5, 1, 2, 3, 9, 9, 2, 1, 3, 4, 5}, at::kLong).view({3, 5});
  const at::Tensor logits = net.Run(batch, PassMode::kPredict)[0];
  EXPECT_TRUE(at::allclose(logits[0].narrow(0, 0, 3), logits[1].narrow(0, 0, 3), 1e-5, 1e-6));
  EXPECT_FALSE(at::allclose(logits[0][2], logits[2][2], 1e-3, 1e-4));
}

TEST(CnnTest, WhatIsNoImageOrTooSmallIsRefused) {
  const auto message = [](const std::vector<int64_t>& input) {
    const auto status = MakeModel(BuiltInModelKinds(), OfSamples("cnn", input)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_TRUE(absl::StrContains(message({5}), "model.input: model.kind cnn needs images")) << message({5});
  EXPECT_TRUE(absl::StrContains(message({1, 3, 28}), "3 x 28 is smaller than the 4 x 4")) << message({1, 3, 28});
}

TEST(RnnTest, SamplesThatAreNoSequencesAreRefused) {
  const auto status = MakeModel(BuiltInModelKinds(), OfSamples("rnn", {1, 28, 28})).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "[1, 28, 28]")) << status;
}

TEST(ModelKindsTest, AnUnknownKindNamesTheKindsThereAre) {
  const absl::Status status = MakeModel(BuiltInModelKinds(), Small("gpt9")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  for (const char* word : {"gpt9", "gpt2", "llama", "mlp", "cnn", "rnn"}) {
    EXPECT_TRUE(absl::StrContains(status.message(), word)) << status;
  }
}

}  // namespace
}  // namespace stowage
