// Gradients with recompute have the bits of those without, for modules of every kind, and the counts are what was done.
#include "trainer/module/recomputed.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/softmax.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/rnn.h>

#include <stdexcept>
#include <utility>

#include "trainer/module/generator_scope.h"

namespace stowage {
namespace {

using Tensors = std::vector<at::Tensor>;

// A network of parts, made from a fixed seed, and what it is given.
struct Net {
  std::vector<SequencePart> parts;
  at::Tensor input;
};

template <typename Holder, typename Forward>
SequencePart Part(Holder module, Forward forward) {
  return {[module, forward](const Tensors& x) mutable -> Tensors { return forward(module, x); }, PartsOf(*module)};
}

Net Mlp() {
  const GeneratorScope seed(1);
  Net net;
  for (const auto& [in, out] : {std::pair{512, 1024}, std::pair{1024, 512}, std::pair{512, 256}}) {
    net.parts.push_back(Part(torch::nn::Linear(in, out), [](torch::nn::Linear& m, const Tensors& x) {
      return Tensors{at::dropout(at::gelu(m(x[0])), 0.1, true)};
    }));
    net.parts.push_back({[](const Tensors& x) { return Tensors{x[0] * 1.5}; }, {}});  // a plain function
  }
  net.input = at::randn({16, 512});
  return net;
}

Net Cnn() {
  const GeneratorScope seed(2);
  Net net;
  for (int in : {3, 8, 8}) {
    auto conv = torch::nn::Conv2d(torch::nn::Conv2dOptions(in, 8, 3).padding(1));
    auto norm = torch::nn::BatchNorm2d(8);
    SequencePart part = Part(
        norm, [conv](torch::nn::BatchNorm2d& m, const Tensors& x) mutable { return Tensors{m(conv(x[0])).relu()}; });
    for (const at::Tensor& p : conv->parameters()) part.parts.parameters.push_back(p);
    net.parts.push_back(part);
  }
  net.input = at::randn({4, 3, 8, 8});
  return net;
}

Net Lstm() {
  const GeneratorScope seed(3);
  Net net;
  for (int in : {6, 10}) {
    net.parts.push_back(Part(torch::nn::LSTM(torch::nn::LSTMOptions(in, 10).batch_first(true)),
                             [](torch::nn::LSTM& m, const Tensors& x) { return Tensors{std::get<0>(m(x[0]))}; }));
  }
  net.input = at::randn({3, 7, 6});
  return net;
}

Net Transformer() {
  const GeneratorScope seed(4);
  Net net;
  constexpr int kWidth = 32;
  for (int layer = 0; layer < 4; ++layer) {
    net.parts.push_back(Part(torch::nn::Linear(kWidth, 3 * kWidth), [](torch::nn::Linear& m, const Tensors& x) {
      const Tensors qkv = m(at::layer_norm(x[0], {kWidth})).chunk(3, -1);
      const at::Tensor scores = at::softmax(qkv[0].matmul(qkv[1].transpose(1, 2)) / 5.0, -1);
      return Tensors{x[0] + at::dropout(scores, 0.1, true).matmul(qkv[2])};
    }));
  }
  net.input = at::randn({2, 9, kWidth});
  return net;
}

struct Outcome {
  Tensors gradients, buffers;
};

// `segments` 0: without.
Outcome Gradients(Net net, int segments, RecomputeBook* book = nullptr) {
  const GeneratorScope seed(7);
  at::Tensor input = net.input.clone().set_requires_grad(true);
  Tensors flow = {input};
  if (segments > 0) {
    const RecomputeScope scope(book);
    flow = RecomputedSequence(net.parts, segments, flow);
  } else {
    for (const SequencePart& part : net.parts) flow = part.function(flow);
  }
  flow[0].square().sum().backward();
  Outcome outcome;
  outcome.gradients.push_back(input.grad());
  for (const SequencePart& part : net.parts) {
    for (const at::Tensor& p : part.parts.parameters) outcome.gradients.push_back(p.grad());
    for (const at::Tensor& b : part.parts.buffers) outcome.buffers.push_back(b);
  }
  return outcome;
}

void ExpectEqual(const Tensors& a, const Tensors& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_TRUE(a[i].defined() && b[i].defined()) << i;
    EXPECT_TRUE(a[i].equal(b[i])) << i;
  }
}

TEST(RecomputedTest, GradientsAndBuffersHaveTheBitsOfACallWithout) {
  for (Net (*make)() : {&Mlp, &Cnn, &Lstm, &Transformer}) {
    const Outcome plain = Gradients(make(), 0);
    for (int segments : {1, 2}) {
      const Outcome again = Gradients(make(), segments);
      ExpectEqual(again.gradients, plain.gradients);
      ExpectEqual(again.buffers, plain.buffers);
    }
  }
}

TEST(RecomputedTest, ASequenceIsRunAgainOncePerSegmentAndHoldsTheirInputs) {
  const Outcome plain = Gradients(Mlp(), 0);
  for (int segments : {1, 2, 3, 5}) {
    RecomputeBook book;
    ExpectEqual(Gradients(Mlp(), segments, &book).gradients, plain.gradients);
    EXPECT_EQ(book.counts().made, segments);
    EXPECT_EQ(book.counts().recomputed, segments);
    EXPECT_EQ(book.counts().held_bytes, 0);
    book.Clear();
    EXPECT_EQ(book.counts().made + book.counts().recomputed, 0);
  }
  EXPECT_THROW(Gradients(Mlp(), 7), std::invalid_argument);

  RecomputeBook book;
  const RecomputeScope scope(&book);
  const Net net = Mlp();
  const Tensors out = RecomputedSequence(net.parts, 3, {net.input});
  EXPECT_EQ(book.counts().held_bytes, (16 * 512 + 16 * 1024 + 16 * 512) * 4);
}

TEST(RecomputedTest, OutsideAScopeAndWithoutAutogradNothingIsRecomputed) {
  int runs = 0;
  const TensorFunction twice = [&](const Tensors& x) {
    ++runs;
    return Tensors{x[0] * 2};
  };
  const at::Tensor x = at::randn({4}).set_requires_grad(true);
  Recomputed(twice, {x})[0].sum().backward();
  EXPECT_EQ(runs, 1);
  Recomputed(twice, {x}, {}, Recomputing::kForced)[0].sum().backward();
  EXPECT_EQ(runs, 3);
  RecomputeBook book;
  const RecomputeScope scope(&book);
  {
    at::NoGradGuard no_grad;
    Recomputed(twice, {x});
  }
  Recomputed(twice, {at::randn({4})});
  EXPECT_EQ(book.counts().made, 0);
  Recomputed(twice, {x});  // a graph that nobody wants
  EXPECT_EQ(book.counts().made, 1);
  EXPECT_EQ(book.counts().held_bytes, 0);
}

TEST(RecomputedTest, SeveralInputsOutputsAndThreeLevelsOfCalls) {
  const auto run = [](bool recompute) {
    const GeneratorScope seed(5);
    const at::Tensor x = at::randn({8}).set_requires_grad(true), y = at::randn({8}).set_requires_grad(true);
    const double scale = 0.7;
    const auto call = [&](const TensorFunction& f, const Tensors& inputs) {
      return recompute ? Recomputed(f, inputs, {}, Recomputing::kForced) : f(inputs);
    };
    const TensorFunction inner = [=](const Tensors& t) {
      return Tensors{at::dropout(t[0] * t[1], 0.3, true), t[0].exp() * scale};
    };
    const TensorFunction middle = [=](const Tensors& t) {
      const Tensors parts = call(inner, {t[0].sin(), t[1]});
      return Tensors{parts[0] + parts[1], parts[1].cos()};
    };
    const TensorFunction outer = [=](const Tensors& t) {
      const Tensors parts = call(middle, t);
      return Tensors{at::dropout(parts[0] * parts[1], 0.3, true), t[1] + parts[0]};
    };
    const Tensors out = call(outer, {x, y});
    (out[0].sum() + out[1].square().sum()).backward();
    return Tensors{x.grad(), y.grad(), at::randn({2})};  // and what is drawn afterwards
  };
  ExpectEqual(run(true), run(false));
}

TEST(RecomputedTest, TwelveLayersInTenStepsAreMadeAndRunAgainAHundredAndTwentyTimes) {
  RecomputeBook book;
  for (int step = 0; step < 10; ++step) {
    Net net;
    net.input = at::randn({2, 3});
    for (int layer = 0; layer < 12; ++layer)
      net.parts.push_back({[](const Tensors& x) { return Tensors{x[0].tanh()}; }, {}});
    Gradients(std::move(net), 12, &book);
  }
  EXPECT_EQ(book.counts().made, 120);
  EXPECT_EQ(book.counts().recomputed, 120);
  book.Clear();
  EXPECT_EQ(book.counts().made, 0);
}

}  // namespace
}  // namespace stowage
