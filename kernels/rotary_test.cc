#include "kernels/rotary.h"

#include <cmath>
#include <vector>

#include "kernels/element_test_util.h"

namespace stowage::kernels {
namespace {

class RotaryTest : public testing::TestWithParam<DType> {};

struct Table {
  Table(int64_t positions, int64_t half) : cos(positions * half), sin(positions * half) {
    for (int64_t i = 0; i < positions * half; ++i) {
      cos[i] = std::cos(static_cast<float>(i) * 0.37f);
      sin[i] = std::sin(static_cast<float>(i) * 0.37f);
    }
  }
  std::vector<float> cos, sin;
};

// Tolerance: two products of factors below 1 in fp32, 1e-7 each.
TEST_P(RotaryTest, TurnsThePairsOfEachHeadAndLeavesTheRest) {
  const DType dtype = GetParam();
  for (int64_t head_dim : {2, 14, 64, 130}) {
    const RotaryShape shape{3, 50, 3 * head_dim + 5, 3, head_dim};
    const int64_t numel = shape.samples * shape.positions * shape.row_numel, half = head_dim / 2;
    const Table table(60, half);
    const Elements x(dtype, TestValues(numel, 1));
    std::vector<double> turned = Doubles(x), back = turned;
    for (int64_t row = 0; row < shape.samples * shape.positions; ++row) {
      for (int64_t head = 0; head < shape.heads; ++head) {
        for (int64_t i = 0; i < half; ++i) {
          const int64_t first = row * shape.row_numel + head * head_dim + i, second = first + half;
          const double c = table.cos[row % 50 * half + i], s = table.sin[row % 50 * half + i];
          turned[first] = x[first] * c - x[second] * s;
          turned[second] = x[second] * c + x[first] * s;
          back[first] = x[first] * c + x[second] * s;
          back[second] = x[second] * c - x[first] * s;
        }
      }
    }
    ForEachWidthAndThreadCount([&](const std::string& machine) {
      SCOPED_TRACE(machine + ", head_dim " + std::to_string(head_dim));
      Elements y(dtype, numel), inverse(dtype, numel), in_place = x;
      Rotary(dtype, shape, table.cos.data(), table.sin.data(), false, x.data(), y.data());
      Rotary(dtype, shape, table.cos.data(), table.sin.data(), true, x.data(), inverse.data());
      Rotary(dtype, shape, table.cos.data(), table.sin.data(), false, in_place.data(), in_place.data());
      EXPECT_TRUE(Near(y, turned, 2e-7));
      EXPECT_TRUE(Near(inverse, back, 2e-7));
      EXPECT_TRUE(y == in_place);
    });
  }
}

TEST_P(RotaryTest, NothingIsDoneForNoSamples) {
  Rotary(GetParam(), RotaryShape{0, 4, 8, 2, 4}, nullptr, nullptr, false, nullptr, nullptr);
}

INSTANTIATE_TEST_SUITE_P(DTypes, RotaryTest, testing::Values(DType::kFloat32, DType::kBFloat16),
                         [](const auto& info) { return std::string(DTypeName(info.param)); });

}  // namespace
}  // namespace stowage::kernels
