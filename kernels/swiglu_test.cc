#include "kernels/swiglu.h"

#include <cmath>
#include <vector>

#include "kernels/element_test_util.h"

namespace stowage::kernels {
namespace {

class SwiGluTest : public testing::TestWithParam<DType> {};

// Tolerance: three fp32 roundings and an exponential of 4e-7, on factors of at most 30: 1e-6 times their product.
TEST_P(SwiGluTest, IsTheFormulaInDoubleToRounding) {
  const DType dtype = GetParam();
  for (int64_t width : {1, 7, 65, 768}) {
    for (int64_t rows : {0, 1, 40}) {
      const Elements x(dtype, Scaled(TestValues(rows * 2 * width, 1), 8.0f)), dy(dtype, TestValues(rows * width, 2));
      std::vector<double> y_ref(rows * width), dx_ref(rows * 2 * width);
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t j = 0; j < width; ++j) {
          const int64_t gate = r * 2 * width + j, up = gate + width, at = r * width + j;
          const double s = 1.0 / (1.0 + std::exp(-static_cast<double>(x[gate])));
          y_ref[at] = x[gate] * s * x[up];
          dx_ref[up] = dy[at] * x[gate] * s;
          dx_ref[gate] = dy[at] * x[up] * s * (1.0 + x[gate] * (1.0 - s));
        }
      }
      std::vector<Elements> first;
      ForEachWidthAndThreadCount([&](const std::string& machine) {
        SCOPED_TRACE(machine + ", rows " + std::to_string(rows) + ", width " + std::to_string(width));
        Elements y(dtype, rows * width), dx(dtype, rows * 2 * width), in_place = x;
        SwiGlu(dtype, x.data(), rows, width, y.data());
        SwiGluBackward(dtype, x.data(), dy.data(), rows, width, dx.data());
        SwiGluBackward(dtype, in_place.data(), dy.data(), rows, width, in_place.data());
        EXPECT_TRUE(Near(y, y_ref, 64e-6));
        EXPECT_TRUE(Near(dx, dx_ref, 64e-6));
        EXPECT_TRUE(dx == in_place);
      });
    }
  }
}

TEST_P(SwiGluTest, FarGatesAreZeroOrTheGateAndNanStays) {
  const DType dtype = GetParam();
  const Elements x(dtype, {-1e4f, 1e4f, std::nanf(""), 2.0f, 2.0f, 2.0f}), dy(dtype, {1.0f, 1.0f, 1.0f});
  Elements y(dtype, 3), dx(dtype, 6);
  SwiGlu(dtype, x.data(), 1, 3, y.data());
  SwiGluBackward(dtype, x.data(), dy.data(), 1, 3, dx.data());
  EXPECT_EQ(y[0], 0.0f);
  EXPECT_EQ(y[1], 2.0f * x[1]);
  EXPECT_TRUE(std::isnan(y[2]));
  EXPECT_EQ(dx[0], 0.0f);
  EXPECT_EQ(dx[1], 2.0f);
  EXPECT_TRUE(std::isnan(dx[2]));
  EXPECT_EQ(dx[3], 0.0f);
  EXPECT_EQ(dx[4], x[1]);
}

INSTANTIATE_TEST_SUITE_P(DTypes, SwiGluTest, testing::Values(DType::kFloat32, DType::kBFloat16),
                         [](const auto& info) { return std::string(DTypeName(info.param)); });

}  // namespace
}  // namespace stowage::kernels
