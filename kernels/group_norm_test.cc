// GroupNorm with residual and ReLU against the formula in double, and against ATen.
#include "kernels/group_norm.h"

#include <ATen/ops/from_blob.h>
#include <ATen/ops/native_group_norm.h>
#include <ATen/ops/native_group_norm_backward.h>

#include <cmath>
#include <vector>

#include "kernels/element_test_util.h"

namespace stowage::kernels {
namespace {

constexpr float kEps = 1e-5f;

struct Result {
  Result(DType dtype, const GroupNormShape& s)
      : y(dtype, s.samples * s.pixels * s.channels),
        dx(y),
        dresidual(y),
        mean(s.samples * s.groups),
        rstd(s.samples * s.groups),
        dweight(s.channels, 99.0f),
        dbias(s.channels, 99.0f),
        mask(GroupNormMaskNumel(s) + 1, 0xaaaa) {}
  Elements y, dx, dresidual;
  std::vector<float> mean, rstd, dweight, dbias;
  std::vector<uint16_t> mask;
};

struct Problem {
  Problem(DType type, const GroupNormShape& s, bool with_residual, bool with_relu)
      : dtype(type),
        shape(s),
        add(with_residual),
        relu(with_relu),
        x(type, Scaled(TestValues(s.samples * s.pixels * s.channels, 1), 2.0f, 1.5f)),
        dy(type, TestValues(x.numel(), 2)),
        residual(type, TestValues(x.numel(), 3)),
        weight(Scaled(TestValues(s.channels, 4), 1.0f, 1.0f)),
        bias(TestValues(s.channels, 5)) {}

  Result Run(bool accumulate = false) const {
    Result r(dtype, shape);
    GroupNorm(dtype, shape, x.data(), weight.data(), bias.data(), kEps, add ? residual.data() : nullptr,
              {relu, relu ? r.mask.data() : nullptr}, r.y.data(), r.mean.data(), r.rstd.data());
    GroupNormBackward(dtype, shape, dy.data(), x.data(), weight.data(), r.mean.data(), r.rstd.data(),
                      relu ? r.mask.data() : nullptr, r.dx.data(), add ? r.dresidual.data() : nullptr,
                      {r.dweight.data(), accumulate}, {r.dbias.data(), accumulate});
    return r;
  }

  const DType dtype;
  const GroupNormShape shape;
  const bool add, relu;
  const Elements x, dy, residual;
  const std::vector<float> weight, bias;
};

// From ATen in double; ReLU's mask is `r`'s own, which the test compares with y apart.
void CheckResult(const Problem& p, const Result& r) {
  const GroupNormShape& s = p.shape;
  std::vector<double> x = Doubles(p.x), g = Doubles(p.dy), weight(p.weight.begin(), p.weight.end()),
                      bias(p.bias.begin(), p.bias.end());
  const int64_t words = (s.channels + 15) / 16;
  const auto bit = [&](int64_t i) {
    const int64_t pixel = i / s.channels, c = i % s.channels;
    return (r.mask[pixel * words + c / 16] >> (c % 16)) & 1;
  };
  if (p.relu) {
    for (int64_t i = 0; i < p.x.numel(); ++i) {
      ASSERT_EQ(bit(i) != 0, r.y[i] > 0.0f) << i;
      if (bit(i) == 0) g[i] = 0.0;
    }
    EXPECT_EQ(r.mask.back(), 0xaaaa);
  }
  const auto images = [&](std::vector<double>& v) {
    return at::from_blob(v.data(), {s.samples, s.pixels, s.channels}, at::kDouble).permute({0, 2, 1}).contiguous();
  };
  const auto vector = [&](std::vector<double>& v) { return at::from_blob(v.data(), {s.channels}, at::kDouble); };
  const auto values = [](const at::Tensor& t) {
    const at::Tensor flat = t.contiguous();
    return std::vector<double>(flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel());
  };
  const auto [y, mean, rstd] =
      at::native_group_norm(images(x), vector(weight), vector(bias), s.samples, s.channels, s.pixels, s.groups, kEps);
  const auto [dx, dweight, dbias] = at::native_group_norm_backward(
      images(g), images(x), mean, rstd, vector(weight), s.samples, s.channels, s.pixels, s.groups, {true, true, true});
  std::vector<double> expected = values(y.permute({0, 2, 1}));
  for (int64_t i = 0; i < p.x.numel(); ++i) {
    if (p.add) expected[i] += p.residual[i];
    if (p.relu) expected[i] = std::max(expected[i], 0.0);
  }
  // A group's sums are made in fp32 of terms of some units, whose error is some 1e-7 of them; a group of few values
  // that lie close together has a large rstd (up to 316), which scales it. A weight's gradient sums all pixels.
  const double error = s.pixels * (s.channels / s.groups) < 64 ? 3e-4 : 1e-5;
  const double sum_error = error * (1.0 + std::sqrt(static_cast<double>(s.samples * s.pixels)));
  EXPECT_TRUE(Near(r.y, expected, error));
  EXPECT_TRUE(Near(r.dx, values(dx.permute({0, 2, 1})), error));
  EXPECT_TRUE(Near(Elements(DType::kFloat32, r.dweight), values(dweight), sum_error));
  EXPECT_TRUE(Near(Elements(DType::kFloat32, r.dbias), values(dbias), sum_error));
  if (p.add) {
    for (int64_t i = 0; i < p.x.numel(); ++i) ASSERT_EQ(r.dresidual[i], g[i]) << i;
  }
}

const GroupNormShape kShapes[] = {{3, 784, 16, 8}, {2, 49, 64, 8}, {2, 5, 1, 1},   {70, 9, 17, 1},
                                  {2, 12, 6, 2},   {2, 3, 40, 4},  {1, 1, 32, 16}, {2, 1024, 128, 32}};

class GroupNormTest : public testing::TestWithParam<DType> {};

TEST_P(GroupNormTest, IsAtensInDoubleToRoundingWithAndWithoutResidualAndRelu) {
  for (const GroupNormShape& shape : kShapes) {
    for (int which = 0; which < 4; ++which) {
      const Problem p(GetParam(), shape, which % 2 == 1, which >= 2);
      ForEachWidthAndThreadCount([&](const std::string& machine) {
        SCOPED_TRACE(machine + ", channels " + std::to_string(shape.channels) + ", " + std::to_string(which));
        CheckResult(p, p.Run());
      });
    }
  }
}

TEST_P(GroupNormTest, AnyNumberOfThreadsGivesTheSameBits) {
  const Problem p(GetParam(), {70, 9, 33, 3}, true, true);
  const Machine restore;
  std::vector<Result> results;
  for (int threads : {1, 2, 3, 5}) {
    at::set_num_threads(threads);
    results.push_back(p.Run());
    EXPECT_TRUE(results.back().y == results[0].y);
    EXPECT_TRUE(results.back().dx == results[0].dx);
    EXPECT_EQ(results.back().dweight, results[0].dweight);
    EXPECT_EQ(results.back().dbias, results[0].dbias);
  }
}

TEST_P(GroupNormTest, InPlaceIsTheSame) {
  const Problem p(GetParam(), {3, 49, 24, 8}, true, true);
  const Result r = p.Run();
  Result other(p.dtype, p.shape);
  Elements y = p.x, dx = p.dy, dresidual = p.dy;
  const auto backward = [&](const Elements& dy, Elements* to_x, Elements* to_residual) {
    GroupNormBackward(p.dtype, p.shape, dy.data(), p.x.data(), p.weight.data(), r.mean.data(), r.rstd.data(),
                      r.mask.data(), to_x->data(), to_residual->data(), {other.dweight.data(), false}, {});
  };
  GroupNorm(p.dtype, p.shape, y.data(), p.weight.data(), p.bias.data(), kEps, p.residual.data(), {true, nullptr},
            y.data(), other.mean.data(), other.rstd.data());
  EXPECT_TRUE(y == r.y);
  backward(dx, &dx, &other.dresidual);
  EXPECT_TRUE(dx == r.dx);
  backward(dresidual, &other.dx, &dresidual);
  EXPECT_TRUE(dresidual == r.dresidual);
  EXPECT_TRUE(other.dx == r.dx);
  EXPECT_EQ(other.dweight, r.dweight);
}

TEST_P(GroupNormTest, AccumulatingAddsToWhatIsThereAndNoSamplesGiveZeros) {
  const Problem p(GetParam(), {3, 49, 24, 8}, false, true), none(GetParam(), {0, 49, 24, 8}, false, true);
  const Result written = p.Run(), added = p.Run(true), nothing = none.Run();
  for (int64_t c = 0; c < 24; ++c) {
    EXPECT_EQ(added.dweight[c], 99.0f + written.dweight[c]);
    EXPECT_EQ(added.dbias[c], 99.0f + written.dbias[c]);
    EXPECT_EQ(nothing.dweight[c], 0.0f);
  }
}

TEST_P(GroupNormTest, NanPassesReluAsInAten) {
  GroupNormShape shape = {1, 4, 16, 1};
  std::vector<float> values = TestValues(64, 1);
  values[5] = std::nanf("");
  const Elements x(GetParam(), values);
  const std::vector<float> ones(16, 1.0f), zeros(16, 0.0f);
  Elements y(GetParam(), 64);
  float mean, rstd;
  GroupNorm(GetParam(), shape, x.data(), ones.data(), zeros.data(), kEps, nullptr, {true, nullptr}, y.data(), &mean,
            &rstd);
  for (int64_t i = 0; i < 64; ++i) EXPECT_TRUE(std::isnan(y[i])) << i;
}

INSTANTIATE_TEST_SUITE_P(DTypes, GroupNormTest, testing::Values(DType::kFloat32, DType::kBFloat16),
                         [](const auto& info) { return std::string(DTypeName(info.param)); });

}  // namespace
}  // namespace stowage::kernels
