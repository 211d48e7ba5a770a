#include "kernels/cast_in_place.h"

#include <cstring>
#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/bf16.h"
#include "kernels/test_util.h"

namespace stowage::kernels {
namespace {

std::vector<float> Values(int64_t numel) {
  std::vector<float> values = TestValues(numel, 3);
  if (numel > 7) values[7] = std::numeric_limits<float>::quiet_NaN();
  if (numel > 9) values[9] = std::numeric_limits<float>::max();  // rounds to infinity
  return values;
}

TEST(CastInPlaceTest, HasTheBitsOfTheCastThatIsNot) {
  for (int64_t numel : {0, 1, 63, 64, 65, 127, 128, 129, 1000, 1000003}) {
    const std::vector<float> values = Values(numel);
    std::vector<uint16_t> expected(numel);
    for (int64_t i = 0; i < numel; ++i) expected[i] = Fp32ToBf16(values[i]);
    ForEachWidthAndThreadCount([&](const std::string& how) {
      std::vector<float> buffer = values;
      buffer.push_back(42.0f);
      NarrowToBf16InPlace(buffer.data(), numel);
      std::vector<uint16_t> narrow(numel);
      std::memcpy(narrow.data(), buffer.data(), numel * sizeof(uint16_t));
      EXPECT_TRUE(SameBits(narrow.data(), expected.data(), numel)) << how << ", numel " << numel;
      EXPECT_EQ(buffer[numel], 42.0f) << "wrote past the end";
    });
  }
}

TEST(CastInPlaceTest, AnyPartComesBackToWhereItWas) {
  for (int64_t parts : {1, 2, 3, 7}) {
    for (int64_t part_numel : {1, 16, 64, 100, 70001}) {
      const int64_t numel = parts * part_numel;
      const std::vector<float> values = Values(numel);
      for (int64_t part = 0; part < parts; ++part) {
        const int64_t begin = part * part_numel;
        std::vector<float> expected(part_numel);
        for (int64_t i = 0; i < part_numel; ++i) expected[i] = Bf16ToFp32(Fp32ToBf16(values[begin + i]));
        ForEachWidthAndThreadCount([&](const std::string& how) {
          std::vector<float> buffer = values;
          buffer.push_back(42.0f);
          NarrowToBf16InPlace(buffer.data(), numel);
          WidenFromBf16InPlace(buffer.data(), begin, part_numel);
          EXPECT_TRUE(SameBits(buffer.data() + begin, expected.data(), part_numel))
              << how << ", part " << part << " of " << parts << " of " << part_numel;
          EXPECT_EQ(buffer[numel], 42.0f) << "wrote past the end";
        });
      }
    }
  }
}

}  // namespace
}  // namespace stowage::kernels
