#include "kernels/relu.h"

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/element_test_util.h"

namespace stowage::kernels {
namespace {

class ReluTest : public testing::TestWithParam<DType> {};

std::vector<float> Inputs(int64_t numel) {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  const std::vector<float> special = {0.0f, -0.0f, infinity, -infinity, nan, -nan, 1e-30f, -1e-30f, 3e38f, -3e38f};
  std::vector<float> values = TestValues(numel, 1);
  for (int64_t i = 0; i < numel; ++i) {
    if (i % 3 == 0) values[i] = special[i / 3 % special.size()];
  }
  return values;
}

TEST_P(ReluTest, PassesWhatIsAboveZeroOrNanAndKeepsOneBit) {
  const DType dtype = GetParam();
  for (int64_t numel : {0, 1, 7, 63, 64, 65, 100000}) {
    const Elements x(dtype, Inputs(numel)), dy(dtype, Inputs(numel + 5));
    ForEachWidthAndThreadCount([&](const std::string& machine) {
      SCOPED_TRACE(machine + ", " + std::to_string(numel));
      Elements y(dtype, numel), dx(dtype, numel), without(dtype, numel), in_place = x;
      std::vector<uint8_t> mask(ReluMaskBytes(numel) + 1, 0xaa);
      Relu(dtype, x.data(), numel, y.data(), mask.data());
      ReluBackward(dtype, mask.data(), dy.data(), numel, dx.data());
      for (int64_t i = 0; i < numel; ++i) {
        const bool passes = !(x[i] <= 0.0f);
        ASSERT_EQ((mask[i / 8] >> (i % 8)) & 1, passes) << i;
        const float value = y[i], gradient = dx[i], expected = passes ? x[i] : 0.0f, wanted = passes ? dy[i] : 0.0f;
        ASSERT_TRUE(SameBits(&value, &expected, 1)) << i;
        ASSERT_TRUE(SameBits(&gradient, &wanted, 1)) << i;
      }
      for (int64_t i = numel; i < ReluMaskBytes(numel) * 8; ++i) EXPECT_EQ((mask[i / 8] >> (i % 8)) & 1, 0) << i;
      EXPECT_EQ(mask.back(), 0xaa);
      Relu(dtype, x.data(), numel, without.data(), nullptr);
      Relu(dtype, in_place.data(), numel, in_place.data(), mask.data());
      EXPECT_TRUE(y == without);
      EXPECT_TRUE(y == in_place);
    });
  }
}

INSTANTIATE_TEST_SUITE_P(DTypes, ReluTest, testing::Values(DType::kFloat32, DType::kBFloat16),
                         [](const auto& info) { return std::string(DTypeName(info.param)); });

}  // namespace
}  // namespace stowage::kernels
