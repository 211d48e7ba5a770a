#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/library.h>
#include <torch/nn.h>

#include <functional>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "memory/counting_allocator.h"
#include "memory/ledger_marks.h"
#include "memory/peaks.h"
#include "memory/pool/pool.h"
#include "memory/test_books.h"
#include "trainer/rehearsal/dry_run.h"

namespace stowage {
namespace {

namespace F = torch::nn::functional;

using Tensors = std::vector<at::Tensor>;

// Whoever takes the peaks of the test's ledger.
LedgerMarks& TestMarks() {
  static auto* const marks = new LedgerMarks(TestBooks());
  return *marks;
}

// Sizes, strides and dtypes of what comes out, and the bytes that were held at most meanwhile.
struct Seen {
  std::vector<std::string> tensors;
  int64_t peak = 0;
};

Seen See(const std::function<Tensors()>& work) {
  LedgerMarks& marks = TestMarks();
  const int64_t before = marks.ledger().total_live();
  Peaks peaks;
  Seen seen;
  {
    const MarkScope mark(marks, &peaks);
    for (const at::Tensor& t : work()) {
      std::ostringstream text;
      if (t.defined()) text << t.sizes() << t.strides() << t.scalar_type();
      seen.tensors.push_back(text.str());
    }
  }
  seen.peak = peaks.host().total - before;
  return seen;
}

struct Case {
  std::string name;
  std::function<Tensors()> work;  // makes all it needs
};

// Forward and backward of a module, the way a segment runs it.
template <typename Module, typename... Inputs>
Tensors Trained(Module module, at::ScalarType dtype, Inputs... inputs) {
  module->to(dtype);
  at::Tensor y;
  if constexpr (std::is_same_v<Module, torch::nn::LSTM> || std::is_same_v<Module, torch::nn::GRU>) {
    y = std::get<0>(module->forward(inputs...));
  } else if constexpr (std::is_same_v<Module, torch::nn::MultiheadAttention>) {
    y = std::get<0>(module->forward(inputs...));
  } else {
    y = module->forward(inputs...);
  }
  Tensors wanted = module->parameters();
  for (const at::Tensor& x : {inputs...}) {
    if (x.requires_grad()) wanted.push_back(x);
  }
  Tensors out = torch::autograd::grad({y.sum()}, wanted, {}, false, false, /*allow_unused=*/true);
  out.push_back(y);
  return out;
}

at::Tensor Leaf(at::IntArrayRef sizes, at::ScalarType dtype = at::kFloat) {
  return at::randn(sizes, dtype).set_requires_grad(true);
}

Tensors Gradient(const at::Tensor& loss, const at::Tensor& x) {
  Tensors out = torch::autograd::grad({loss}, {x});
  out.push_back(loss);
  return out;
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const std::string in = dtype == at::kFloat ? " fp32" : " bf16";
    cases.push_back({"linear" + in, [=] {
                       return Trained(torch::nn::Linear(48, 80), dtype, Leaf({6, 5, 48}, dtype));
                     }});
    cases.push_back(
        {"layer norm" + in, [=] {
           return Trained(torch::nn::LayerNorm(torch::nn::LayerNormOptions({48})), dtype, Leaf({6, 5, 48}, dtype));
         }});
    cases.push_back({"convolution" + in, [=] {
                       return Trained(torch::nn::Conv2d(torch::nn::Conv2dOptions(8, 16, 3).padding(1).stride(2)), dtype,
                                      Leaf({4, 8, 15, 14}, dtype));
                     }});
    cases.push_back({"grouped convolution, channels last" + in, [=] {
                       const at::Tensor x = at::randn({4, 8, 12, 12}, dtype).contiguous(at::MemoryFormat::ChannelsLast);
                       return Trained(torch::nn::Conv2d(torch::nn::Conv2dOptions(8, 16, 3).groups(2)), dtype,
                                      x.set_requires_grad(true));
                     }});
    cases.push_back({"transposed convolution" + in, [=] {
                       return Trained(torch::nn::ConvTranspose2d(torch::nn::ConvTranspose2dOptions(8, 6, 4).stride(2)),
                                      dtype, Leaf({2, 8, 7, 7}, dtype));
                     }});
    cases.push_back(
        {"convolution over time" + in, [=] {
           return Trained(torch::nn::Conv1d(torch::nn::Conv1dOptions(8, 16, 3)), dtype, Leaf({4, 8, 20}, dtype));
         }});
    cases.push_back({"batch norm" + in, [=] {
                       return Trained(torch::nn::BatchNorm2d(8), dtype, Leaf({4, 8, 12, 12}, dtype));
                     }});
    cases.push_back({"group norm" + in, [=] {
                       return Trained(torch::nn::GroupNorm(2, 8), dtype, Leaf({4, 8, 12, 12}, dtype));
                     }});
    cases.push_back({"LSTM" + in, [=] {
                       return Trained(torch::nn::LSTM(torch::nn::LSTMOptions(20, 32).num_layers(2)), dtype,
                                      Leaf({9, 4, 20}, dtype));
                     }});
    cases.push_back({"GRU" + in, [=] {
                       return Trained(torch::nn::GRU(torch::nn::GRUOptions(20, 32).batch_first(true)), dtype,
                                      Leaf({4, 9, 20}, dtype));
                     }});
    cases.push_back({"multi-head attention" + in, [=] {
                       const at::Tensor x = Leaf({9, 4, 32}, dtype);
                       return Trained(torch::nn::MultiheadAttention(32, 4), dtype, x, x, x);
                     }});
    cases.push_back({"transformer layer with dropout" + in, [=] {
                       return Trained(
                           torch::nn::TransformerEncoderLayer(torch::nn::TransformerEncoderLayerOptions(32, 4)), dtype,
                           Leaf({9, 4, 32}, dtype));
                     }});
    cases.push_back({"fused attention" + in, [=] {
                       const at::Tensor q = Leaf({2, 4, 16, 8}, dtype), k = Leaf({2, 4, 16, 8}, dtype);
                       const at::Tensor v = Leaf({2, 4, 16, 8}, dtype);
                       const at::Tensor y = at::scaled_dot_product_attention(q, k, v, {}, 0.0, true);
                       Tensors out = torch::autograd::grad({y.sum()}, {q, k, v});
                       out.push_back(y);
                       return out;
                     }});
    cases.push_back({"pools" + in, [=] {
                       const at::Tensor x = Leaf({2, 4, 12, 12}, dtype);
                       const at::Tensor y = F::adaptive_avg_pool2d(F::max_pool2d(x, F::MaxPool2dFuncOptions(2)),
                                                                   F::AdaptiveAvgPool2dFuncOptions(3));
                       return Gradient(F::avg_pool2d(y, F::AvgPool2dFuncOptions(3)).sum(), x);
                     }});
    cases.push_back({"activations" + in, [=] {
                       const at::Tensor x = Leaf({6, 40}, dtype);
                       const at::Tensor y = at::relu(x) + at::gelu(x) + at::silu(x) + at::tanh(x) + at::sigmoid(x) +
                                            at::leaky_relu(x) + at::elu(x) + at::softplus(x);
                       return Gradient(at::where(y > 0, y, x).softmax(1).log().sum(), x);
                     }});
    cases.push_back({"views and arithmetic" + in, [=] {
                       const at::Tensor x = Leaf({6, 4, 10}, dtype);
                       at::Tensor y = at::cat({x.transpose(0, 1).reshape({4, 60}), x.view({4, 60})}, 1);
                       y = y.index({at::arange(2)}).unsqueeze(0).expand({3, 2, 120}).contiguous();
                       y = (y - y.mean(2, true)) / (y.var(2, true, true) + 1).sqrt();
                       y.add_(1).mul_(2);
                       return Gradient(y.pow(2).sum() + y.std() + at::norm(x) + x.abs().sum() + x.amax(1).sum() +
                                           std::get<0>(x.sort(1)).sum() + x.cumsum(0).tril().sum() +
                                           std::get<0>(at::topk(x, 2)).sum(),
                                       x);
                     }});
  }
  // Copies of arguments to the type that is computed in are most of what these take.
  const auto half = [] { return at::ones({6, 50, 40}, at::kBFloat16); };
  cases.push_back({"a sum in another type", [=] { return Tensors{half().sum(0, false, at::kFloat)}; }});
  cases.push_back({"a sum over two dimensions in another type", [=] {
                     return Tensors{half().sum(at::IntArrayRef({0, 1}), true, at::kFloat)};
                   }});
  cases.push_back({"a mean of bf16", [=] { return Tensors{half().mean({1})}; }});
  cases.push_back({"a mean of fp32", [] { return Tensors{at::ones({6, 50, 40}).mean({1})}; }});
  cases.push_back({"bf16 and fp32", [=] { return Tensors{half() * at::ones({6, 50, 40})}; }});
  cases.push_back({"bf16 onto fp32", [=] { return Tensors{at::ones({6, 50, 40}).add_(half())}; }});
  cases.push_back({"a number", [] { return Tensors{at::ones({3}) / 3.0}; }});
  cases.push_back({"whole numbers and a number", [] { return Tensors{at::ones({3}, at::kLong).mul(0.5)}; }});
  cases.push_back({"embedding", [] {
                     return Trained(torch::nn::Embedding(100, 24), at::kFloat, at::randint(0, 100, {4, 9}, at::kLong));
                   }});
  cases.push_back({"cross entropy", [] {
                     const at::Tensor x = Leaf({12, 10});
                     return Gradient(F::cross_entropy(x, at::randint(0, 10, {12}, at::kLong)), x);
                   }});
  cases.push_back({"other losses", [] {
                     const at::Tensor x = Leaf({12, 10}), y = at::rand({12, 10});
                     return Gradient(F::mse_loss(x, y) + F::huber_loss(x, y) + F::smooth_l1_loss(x, y) +
                                         F::l1_loss(x, y) + F::binary_cross_entropy_with_logits(x, y) +
                                         F::binary_cross_entropy(at::sigmoid(x), y) +
                                         F::kl_div(at::log_softmax(x, 1), y, F::KLDivFuncOptions(torch::kBatchMean)),
                                     x);
                   }});
  return cases;
}

TEST(DryRunTest, OperatorsGiveTheShapesAndTakeTheBytesOfTheRealOnes) {
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.name);
    See(c.work);  // what is made once, generators and caches, is no part of it
    const Seen real = See(c.work);
    Seen dry;
    try {
      const DryRun run(TestMarks());
      dry = See(c.work);
      // The second time what was run for real is replayed.
      const Seen again = See(c.work);
      EXPECT_EQ(again.tensors, dry.tensors);
      EXPECT_EQ(again.peak, dry.peak);
      EXPECT_TRUE(run.workspaces().unmeasured().empty());
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
      continue;
    }
    EXPECT_EQ(dry.tensors, real.tensors);
    // Each thread of fused attention's backward takes 64 bytes for a while, and two may or may not do so at once.
    EXPECT_NEAR(dry.peak, real.peak, absl::StartsWith(c.name, "fused attention") ? 64 : 0);
  }
}

TEST(DryRunTest, NothingIsHeldAfterwardsAndNoPagesAreTouched) {
  const int64_t live = TestMarks().ledger().total_live();
  const int64_t touched = InstalledPool()->TouchedBytes();
  {
    const DryRun run(TestMarks());
    const at::Tensor x = Leaf({1 << 14, 1 << 14}), y = at::matmul(x, x);  // 1 GiB each
    const Tensors dx = torch::autograd::grad({y.sum()}, {x});
    EXPECT_EQ(dx[0].sizes(), x.sizes());
    EXPECT_GE(TestMarks().ledger().total_live(), live + (int64_t{3} << 30));
    EXPECT_LT(InstalledPool()->TouchedBytes(), touched + (int64_t{64} << 20));
  }
  EXPECT_EQ(TestMarks().ledger().total_live(), live);
}

template <typename F>
std::string ErrorOf(const F& work) {
  const DryRun run(TestMarks());
  try {
    work();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return "no error";
}

TEST(DryRunTest, ReadingAValueIsNamedWithItsTensor) {
  const std::string error = ErrorOf([] { at::zeros({1}).item<float>(); });
  EXPECT_NE(error.find("_local_scalar_dense reads a value"), std::string::npos) << error;
  EXPECT_NE(error.find("Float [1]"), std::string::npos) << error;
}

TEST(DryRunTest, AShapeThatDependsOnValuesIsNamed) {
  for (const auto& work : {std::function<void()>([] { at::nonzero(at::zeros({3})); }), std::function<void()>([] {
                             at::masked_select(at::zeros({3}), at::zeros({3}, at::kBool));
                           })}) {
    const std::string error = ErrorOf(work);
    EXPECT_NE(error.find("depends on values"), std::string::npos) << error;
  }
}

TEST(DryRunTest, AnUnknownOperatorIsNamedWithItsInputsAndWhatToAdd) {
  // Made here: LibTorch can have no Meta kernel for it.
  auto defined = torch::Library(torch::Library::FRAGMENT, "stowage_test", std::nullopt, __FILE__, __LINE__);
  defined.def("mystery(Tensor x) -> Tensor");
  defined.impl("mystery", c10::DispatchKey::CPU, torch::CppFunction([](const at::Tensor& x) { return x.clone(); }));
  const auto mystery = c10::Dispatcher::singleton()
                           .findSchemaOrThrow("stowage_test::mystery", "")
                           .typed<at::Tensor(const at::Tensor&)>();
  EXPECT_EQ(mystery.call(at::ones({2})).numel(), 2);
  const std::string error = ErrorOf([&] { mystery.call(at::ones({2, 3})); });
  EXPECT_NE(error.find("stowage_test::mystery"), std::string::npos) << error;
  EXPECT_NE(error.find("[2, 3]"), std::string::npos) << error;
  EXPECT_NE(error.find("TORCH_LIBRARY_IMPL"), std::string::npos) << error;
}

TEST(DryRunTest, WhatIsTooLargeToRunIsCountedAsUnmeasured) {
  const DryRun run(TestMarks(), /*most_measured_bytes=*/1000);
  auto conv = torch::nn::Conv2d(torch::nn::Conv2dOptions(8, 16, 3));
  EXPECT_EQ(conv->forward(at::randn({2, 8, 9, 9})).sizes(), (std::vector<int64_t>{2, 16, 7, 7}));
  ASSERT_EQ(run.workspaces().unmeasured().count("aten::convolution"), 1u);
  EXPECT_EQ(run.workspaces().unmeasured().at("aten::convolution"), 4 * (2 * 8 * 9 * 9 + 16 * 8 * 3 * 3 + 16));
  EXPECT_EQ(run.workspaces().measured(), 0);
}

TEST(DryRunTest, DataIsReadForReal) {
  const DryRun run(TestMarks());
  const RealTensors real;
  EXPECT_EQ(at::ones({3}).sum().item<float>(), 3.0f);
}

}  // namespace
}  // namespace stowage
