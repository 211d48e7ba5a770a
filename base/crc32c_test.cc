#include "base/crc32c.h"

#include <string>

#include "gtest/gtest.h"

namespace stowage {
namespace {

TEST(Crc32cTest, GivesTheStandardsValues) {
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAu);  // RFC 3720, B.4
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62A8AB43u);
  EXPECT_EQ(Crc32c(""), 0u);
}

TEST(Crc32cTest, ExtendingGivesTheChecksumOfTheWhole) {
  const std::string text = "In the beginning God created the heaven and the earth.";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    const uint32_t first = Crc32c(text.substr(0, cut));
    EXPECT_EQ(ExtendCrc32c(first, text.data() + cut, text.size() - cut), Crc32c(text)) << cut;
  }
}

TEST(Crc32cTest, AFlippedBitChangesIt) {
  std::string data(1000, 'a');
  const uint32_t before = Crc32c(data);
  for (size_t i = 0; i < data.size(); i += 37) {
    data[i] ^= 4;
    EXPECT_NE(Crc32c(data), before) << i;
    data[i] ^= 4;
  }
}

}  // namespace
}  // namespace stowage
