// The formulas against what a real step really holds: six small runs, played by the executor, counted by the ledger.
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "memory/category_scope.h"
#include "memory/test_books.h"
#include "sharding/solo_communicator.h"
#include "trainer/breakdown/breakdown.h"
#include "trainer/executor/executor.h"
#include "trainer/model/gpt2.h"
#include "trainer/model/llama.h"
#include "trainer/model/ops/activation.h"
#include "trainer/model/ops/attention.h"
#include "trainer/model/ops/rotary.h"
#include "trainer/model/precision.h"
#include "trainer/model/residual_branch.h"
#include "trainer/optimizer/optimizer.h"

namespace stowage {
namespace {

struct Case {
  std::string name;
  std::string kind = "gpt2";
  std::string precision = "fp32";
  std::string attention = "auto";
  std::string optimizer = "adamw";
  int64_t layers = 3, width = 64, heads = 4, kv_heads = 4, ffn = 256, context = 64, vocabulary = 300, micro_batch = 4;
  bool tie = true, bias = true;
  double dropout = 0.0;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

std::vector<Case> Cases() {
  std::vector<Case> cases(6);
  cases[0].name = "Gpt2";
  cases[1].name = "Gpt2Bf16";
  cases[1].precision = "bf16";
  cases[2].name = "Gpt2FreeHeadNoBiasDropoutSgd";
  cases[2].tie = cases[2].bias = false;
  cases[2].dropout = 0.1;
  cases[2].optimizer = "sgd";
  cases[3].name = "Gpt2FusedAttention";
  cases[3].attention = "fused";
  cases[3].layers = 2;
  cases[3].context = 128;
  cases[4].name = "Llama";
  cases[4].kind = "llama";
  cases[4].tie = false;
  cases[4].ffn = 192;
  cases[5].name = "LlamaGroupedBf16";
  cases[5].kind = "llama";
  cases[5].precision = "bf16";
  cases[5].tie = false;
  cases[5].kv_heads = 2;
  cases[5].ffn = 176;
  cases[5].micro_batch = 2;
  return cases;
}

Config ConfigOf(const Case& c) {
  Config config;
  config.model.kind = c.kind;
  config.model.layers = c.layers;
  config.model.width = c.width;
  config.model.heads = c.heads;
  config.model.kv_heads = c.kv_heads;
  config.model.ffn = c.ffn;
  config.model.context = c.context;
  config.model.vocabulary = c.vocabulary;
  config.model.tie = c.tie;
  config.model.bias = c.bias;
  config.model.norm_bias = c.bias;
  config.model.dropout = c.dropout;
  config.model.attention = c.attention;
  config.precision = c.precision;
  config.optimizer.kind = c.optimizer;
  config.train.global_batch = c.micro_batch;
  config.train.micro_batch = c.micro_batch;
  return config;
}

Model MakeModel(const Config& config) {
  Model model = config.model.kind == "llama" ? *MakeLlama(config.model) : *MakeGpt2(config.model);
  EXPECT_TRUE(ApplyPrecision(config.precision, {}, &model).ok());
  return model;
}

// What is held after each forward, and each category's most at the end of any instruction; beyond what there was.
class Observer final : public InstructionObserver {
 public:
  explicit Observer(const Model& model) : model_(model), start_(TestBooks().Snapshot()) {}
  void Before(const Instruction&) override {}
  void After(const Instruction& instruction) override {
    const LedgerSnapshot now = TestBooks().Snapshot();
    for (int c = 0; c < kCategories; ++c) {
      most_[c] = std::max(most_[c], now.categories[c].live - start_.categories[c].live);
    }
    if (instruction.op != Op::kForward) return;
    const int64_t live = now[Category::kActivations].live - start_[Category::kActivations].live;
    kept_[model_.segments[instruction.target].name] = live - before_;
    before_ = live;
  }
  int64_t most(Category category) const { return most_[static_cast<int>(category)]; }
  int64_t kept(const std::string& segment) const { return kept_.at(segment); }
  int64_t kept_in_all() const { return before_; }

 private:
  const Model& model_;
  const LedgerSnapshot start_;
  std::array<int64_t, kCategories> most_ = {};
  std::map<std::string, int64_t> kept_;
  int64_t before_ = 0;
};

absl::Status PlaySteps(const Config& config, Model& model, Observer& observer) {
  SoloCommunicator solo;
  GroupStates groups = MakeGroupStates(model, 1);
  for (const auto& group : groups) group->Initialize(1);
  const auto optimizer = MakeOptimizer(config.optimizer);
  Executor executor(model, groups, solo, optimizer->get());
  const Schedule schedule = WriteTrainStep(ShapeOf(model), 1);
  for (int64_t step = 0; step < 2; ++step) {
    PlayInputs inputs;
    inputs.step = step;
    inputs.observer = step == 1 ? &observer : nullptr;  // optimizer state is there from the second on
    inputs.release_gradients = true;
    inputs.global_index = [](int) { return 0; };
    inputs.batch = [&](int) -> absl::StatusOr<Batch> {
      const CategoryScope data(Category::kData);
      const std::vector<int64_t> shape = {*config.train.micro_batch, config.model.context};
      Batch batch;
      batch.tensors = {{"tokens", at::ones(shape, at::kLong)}, {"targets", at::zeros(shape, at::kLong)}};
      batch.samples = shape[0];
      batch.loss_terms = shape[0] * shape[1];
      return batch;
    };
    inputs.scalars = [&](const AgreementVerdict& verdict) -> absl::StatusOr<UpdateScalars> {
      UpdateScalars scalars;
      scalars.lr = 1e-3;
      scalars.step = step + 1;
      scalars.gradient_scale = 1.0 / static_cast<double>(verdict.tokens);
      return scalars;
    };
    const auto verdict = executor.Play(schedule, inputs);
    if (!verdict.ok()) return verdict.status();
  }
  return absl::OkStatus();
}

void ExpectWithin(double share, int64_t formula, int64_t measured, const std::string& what) {
  EXPECT_NEAR(static_cast<double>(formula), static_cast<double>(measured), share * static_cast<double>(measured))
      << what;
}

class MeasuredTest : public testing::TestWithParam<Case> {};

TEST_P(MeasuredTest, TotalIsWithinFivePercentAndSegmentsWithinTen) {
  const Config config = ConfigOf(GetParam());
  TestBooks();
  Model model = MakeModel(config);
  Observer observer(model);
  ASSERT_TRUE(PlaySteps(config, model, observer).ok());
  const auto breakdown = BreakdownOf(config, 1, nullptr);
  ASSERT_TRUE(breakdown.ok()) << breakdown.status();
  const FormulaBreakdown& formula = *breakdown->formula;
  int64_t parameters = 0;
  for (const GroupSpec& group : model.groups) {
    for (const ParameterSpec& p : group.parameters) parameters += p.numel();
  }
  EXPECT_EQ(formula.parameters.total(), parameters);

  const ActivationBytes& kept = *formula.activations;
  const int64_t layers = config.model.layers;
  ExpectWithin(0.1, kept.embeddings, observer.kept("embedding"), "embedding");
  const int64_t attention = kept.qkv + kept.scores + kept.attention_output + kept.layer_output / 2;
  const int64_t feed_forward = kept.ffn + kept.layer_output / 2;
  for (int64_t i = 0; i < layers; ++i) {
    const std::string layer = "layer." + std::to_string(i);
    ExpectWithin(0.1, attention / layers, observer.kept(layer + ".attn"), layer + ".attn");
    ExpectWithin(0.1, feed_forward / layers, observer.kept(layer + ".ffn"), layer + ".ffn");
  }
  ExpectWithin(0.1, kept.head, observer.kept("head"), "head");
  ExpectWithin(0.05, kept.total(), observer.kept_in_all(), "activations");
  ExpectWithin(0.05, formula.states.parameters, observer.most(Category::kParameters), "parameters");
  ExpectWithin(0.05, formula.states.gradients, observer.most(Category::kGradients), "gradients");
  ExpectWithin(0.05, formula.states.optimizer, observer.most(Category::kOptimizer), "optimizer");
  const int64_t measured = observer.most(Category::kParameters) + observer.most(Category::kGradients) +
                           observer.most(Category::kOptimizer) + observer.most(Category::kActivations);
  ExpectWithin(0.05, formula.states.total() + kept.total(), measured, "total");
}

// One half of a layer with its middle watched: bytes at its start, when the middle begins, when it has ended, at the
// end.
struct Watched {
  int64_t before_middle = 0, middle = 0, after_middle = 0, middle_output = 0;
};

Watched Watch(const Case& c, int64_t in_rows, int64_t out_columns,
              const std::function<at::Tensor(const at::Tensor&)>& middle) {
  const auto live = [] { return TestBooks().Snapshot().total.live; };
  const at::ScalarType dtype = c.precision == "bf16" ? at::kBFloat16 : at::kFloat;
  const bool llama = c.kind == "llama", bias = c.bias && !llama;
  int64_t start = 0, enter = 0, leave = 0;
  Watched watched;
  ResidualBranch::Options options = {llama ? NormKind::Rms(1e-5) : NormKind::Layer(bias), bias, 0.0,
                                     [&](const at::Tensor& x) {
                                       enter = live();
                                       at::Tensor y = middle(x);
                                       leave = live();
                                       watched.middle_output = static_cast<int64_t>(y.nbytes());
                                       return y;
                                     }};
  std::vector<at::Tensor> values;
  const auto add = [&](std::vector<int64_t> shape, at::ScalarType type) {
    values.push_back(at::ones(shape, type).set_requires_grad(true));
  };
  add({c.width}, at::kFloat);
  if (bias) add({c.width}, at::kFloat);
  add({in_rows, c.width}, dtype);
  if (bias) add({in_rows}, dtype);
  add({c.width, out_columns}, dtype);
  if (bias) add({c.width}, dtype);
  std::vector<Parameter> parameters(values.size());
  for (size_t i = 0; i < values.size(); ++i) parameters[i].value = values[i];
  const at::Tensor x = at::ones({c.micro_batch, c.context, c.width}, dtype).set_requires_grad(true);
  SegmentContext context;
  context.compute = dtype;
  const ResidualBranch branch(std::move(options));
  for (int time = 0; time < 2; ++time) {  // the first makes what lasts, as rotary's table
    start = live();
    const std::vector<at::Tensor> out = branch.Forward({x}, parameters, context);
    watched.before_middle = enter - start;
    watched.middle = leave - enter;
    watched.after_middle = live() - leave;
  }
  return watched;
}

TEST_P(MeasuredTest, EachPartOfALayerIsWithinTenPercent) {
  const Case& c = GetParam();
  TestBooks();
  const Config config = ConfigOf(c);
  const ModelSizes sizes = *SizesOf(config);
  const ActivationBytes kept = OwnActivations(sizes, c.micro_batch, c.precision == "bf16" ? 2 : 4);
  ops::AttentionOptions causal;
  causal.causal = true;
  causal.kind = ops::AttentionKindFrom(c.attention);
  const bool llama = c.kind == "llama";
  const int64_t kv_heads = sizes.kv_heads;
  const ops::RotaryTable rotary(c.context, c.width / c.heads, 10000.0);
  const Watched attention = Watch(c, sizes.qkv_rows(), c.width, [&](const at::Tensor& x) {
    return ops::SelfAttention(llama ? ops::Rotary(x, c.heads, kv_heads, rotary) : x, c.heads, kv_heads, causal);
  });
  ExpectWithin(0.1, kept.qkv / c.layers, attention.before_middle, "QKV");
  ExpectWithin(0.1, kept.scores / c.layers, attention.middle - attention.middle_output, "scores");
  ExpectWithin(0.1, kept.attention_output / c.layers, attention.middle_output, "attention output");
  ExpectWithin(0.1, kept.layer_output / c.layers / 2, attention.after_middle, "layer output, attention");
  const Watched ffn = Watch(c, sizes.up_rows(), c.ffn, [&](const at::Tensor& x) {
    return llama ? ops::SwiGlu(x) : ops::Gelu(x, ops::GeluKind::kTanh);
  });
  ExpectWithin(0.1, kept.ffn / c.layers, ffn.before_middle + ffn.middle, "FFN intermediate");
  ExpectWithin(0.1, kept.layer_output / c.layers / 2, ffn.after_middle, "layer output, FFN");
}

INSTANTIATE_TEST_SUITE_P(Configs, MeasuredTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace stowage
