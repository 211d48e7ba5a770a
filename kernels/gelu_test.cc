#include "kernels/gelu.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/element_test_util.h"

namespace stowage::kernels {
namespace {

double Value(GeluKind kind, double x) {
  if (kind == GeluKind::kExact) return 0.5 * x * std::erfc(-x * std::sqrt(0.5));
  return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
}

double Slope(GeluKind kind, double x) {
  if (kind == GeluKind::kExact) {
    return 0.5 * std::erfc(-x * std::sqrt(0.5)) + x * std::exp(-0.5 * x * x) / std::sqrt(2.0 * M_PI);
  }
  const double t = std::tanh(std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x));
  return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * std::sqrt(2.0 / M_PI) * (1.0 + 3 * 0.044715 * x * x);
}

// From one tail to the other in small steps, so through both branches of erf, and far out.
std::vector<float> Inputs() {
  std::vector<float> x;
  for (int i = -16000; i <= 16000; ++i) x.push_back(static_cast<float>(i) * 0.001f);
  for (float far : {20.0f, 90.0f, 1e3f, 1e10f, 1e20f, 3e38f, 1e-30f, 0.0f}) {
    x.push_back(far);
    x.push_back(-far);
  }
  return x;
}

class GeluTest : public testing::TestWithParam<std::tuple<GeluKind, DType>> {};

// Tolerance: the header's, 5e-7 of 1 + |x|, measured below 3e-7; here before the output's rounding, which Near() adds.
TEST_P(GeluTest, IsTheFormulaInDoubleToRounding) {
  const auto [kind, dtype] = GetParam();
  const Elements x(dtype, Inputs()), ones(dtype, std::vector<float>(x.numel(), 1.0f));
  std::vector<double> values, slopes;
  for (int64_t i = 0; i < x.numel(); ++i) {
    values.push_back(Value(kind, x[i]));
    slopes.push_back(Slope(kind, x[i]));
  }
  ForEachWidthAndThreadCount([&, kind = kind, dtype = dtype](const std::string& machine) {
    SCOPED_TRACE(machine);
    Elements y(dtype, x.numel()), dx(dtype, x.numel());
    Gelu(kind, dtype, x.data(), x.numel(), y.data());
    GeluBackward(kind, dtype, x.data(), ones.data(), x.numel(), dx.data());
    const double rounding = dtype == DType::kBFloat16 ? 0x1p-8 : 0.0;
    for (int64_t i = 0; i < x.numel(); ++i) {
      const double error = 5e-7 * (1.0 + std::abs(x[i]));
      const double shorter = kind == GeluKind::kExact && dtype == DType::kBFloat16 ? 0x1p-11 : 0.0;
      ASSERT_NEAR(y[i], values[i], error + (rounding + shorter) * std::abs(values[i])) << x[i];
      ASSERT_NEAR(dx[i], slopes[i], error + rounding * std::abs(slopes[i])) << x[i];
    }
  });
}

TEST_P(GeluTest, GradientIsScaledByDyAndElementsDoNotDependOnTheirPlace) {
  const auto [kind, dtype] = GetParam();
  const std::vector<float> values = Scaled(TestValues(70000, 1), 4.0f);
  const Elements x(dtype, values), dy(dtype, TestValues(70000, 2)), ones(dtype, std::vector<float>(70000, 1.0f));
  ForEachWidthAndThreadCount([&, kind = kind, dtype = dtype](const std::string& machine) {
    SCOPED_TRACE(machine);
    Elements y(dtype, x.numel()), dx(dtype, x.numel());
    Gelu(kind, dtype, x.data(), x.numel(), y.data());
    GeluBackward(kind, dtype, x.data(), dy.data(), x.numel(), dx.data());
    for (int64_t i : {0, 1, 6, 7, 65, 16383, 69999}) {
      const Elements one_x(dtype, std::vector<float>{x[i]}), one_dy(dtype, std::vector<float>{dy[i]});
      Elements one_y(dtype, 1), one_dx(dtype, 1);
      Gelu(kind, dtype, one_x.data(), 1, one_y.data());
      GeluBackward(kind, dtype, one_x.data(), one_dy.data(), 1, one_dx.data());
      EXPECT_EQ(one_y[0], y[i]) << i;
      EXPECT_EQ(one_dx[0], dx[i]) << i;
      EXPECT_NEAR(dx[i], dy[i] * Slope(kind, x[i]), (dtype == DType::kBFloat16 ? 0x1p-8 : 0.0) + 2e-6) << i;
    }
  });
}

TEST_P(GeluTest, NanStaysNanAndInPlaceIsTheSame) {
  const auto [kind, dtype] = GetParam();
  std::vector<float> values = TestValues(50, 3);
  values[3] = values[49] = std::nanf("");
  values[4] = std::numeric_limits<float>::infinity();
  const Elements x(dtype, values), ones(dtype, std::vector<float>(50, 1.0f));
  Elements y(dtype, 50), in_place = x, dx(dtype, 50), gradient = ones;
  Gelu(kind, dtype, x.data(), 50, y.data());
  Gelu(kind, dtype, in_place.data(), 50, in_place.data());
  GeluBackward(kind, dtype, x.data(), ones.data(), 50, dx.data());
  GeluBackward(kind, dtype, x.data(), gradient.data(), 50, gradient.data());
  EXPECT_TRUE(y == in_place);
  EXPECT_TRUE(dx == gradient);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(std::isnan(y[i]), std::isnan(x[i])) << i;
    EXPECT_EQ(std::isnan(dx[i]), std::isnan(x[i])) << i;
  }
  EXPECT_TRUE(std::isinf(y[4]));
  EXPECT_EQ(dx[4], 1.0f);
}

TEST_P(GeluTest, NothingIsDoneForNoElements) {
  const auto [kind, dtype] = GetParam();
  Gelu(kind, dtype, nullptr, 0, nullptr);
  GeluBackward(kind, dtype, nullptr, nullptr, 0, nullptr);
}

INSTANTIATE_TEST_SUITE_P(Kinds, GeluTest,
                         testing::Combine(testing::Values(GeluKind::kExact, GeluKind::kTanh),
                                          testing::Values(DType::kFloat32, DType::kBFloat16)),
                         [](const auto& info) {
                           const bool exact = std::get<0>(info.param) == GeluKind::kExact;
                           return std::string(exact ? "Exact" : "Tanh") +
                                  std::string(DTypeName(std::get<1>(info.param)));
                         });

}  // namespace
}  // namespace stowage::kernels
