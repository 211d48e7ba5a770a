#include "base/byte_size.h"

#include <cstdint>
#include <limits>
#include <string>

#include "gtest/gtest.h"

namespace stowage {
namespace {

TEST(ByteSizeTest, ReadsDigitsBinaryAndDecimalUnits) {
  const struct {
    const char* text;
    int64_t bytes;
  } cases[] = {
      {"0", 0},
      {"4096", 4096},
      {"4096B", 4096},
      {"6GiB", int64_t{6} << 30},
      {"6gib", int64_t{6} << 30},
      {"512 MiB", int64_t{512} << 20},
      {" 3 KiB ", 3072},
      {"1.5GB", 1500000000},
      {"1.5GiB", int64_t{1536} << 20},
      {"0.3KiB", 307},
      {"40GB", 40000000000},
      {"2TB", 2000000000000},
      {"9223372036854775807", std::numeric_limits<int64_t>::max()},
  };
  for (const auto& c : cases) {
    const auto bytes = ParseByteSize(c.text);
    ASSERT_TRUE(bytes.ok()) << c.text << ": " << bytes.status();
    EXPECT_EQ(*bytes, c.bytes) << c.text;
  }
}

TEST(ByteSizeTest, RefusesNonsenseAndSaysWhatToWrite) {
  for (const char* text : {"", "GiB", "-1GiB", "6G", "6 gigs", "1.5", "1.2.3GiB", "6GiB x", "6  GiB", "80%", "1e9", ".",
                           "9223372036854775808", "8388608TiB", "99999999.5TiB", "nan", "inf", "0x10"}) {
    const auto bytes = ParseByteSize(text);
    EXPECT_FALSE(bytes.ok()) << text << " was read as " << *bytes;
    EXPECT_NE(bytes.status().message().find("6GiB"), std::string::npos) << bytes.status();
  }
}

TEST(ByteSizeTest, ExactTextReadsBackToTheSameBytes) {
  EXPECT_EQ(ExactByteSize(int64_t{6} << 30), "6GiB");
  EXPECT_EQ(ExactByteSize(int64_t{1536} << 20), "1536MiB");
  EXPECT_EQ(ExactByteSize(1500000000), "1500000000");
  for (int64_t bytes : {int64_t{0}, int64_t{1}, int64_t{1023}, int64_t{1024}, int64_t{1025}, int64_t{6} << 30,
                        (int64_t{6} << 30) + 1, std::numeric_limits<int64_t>::max()}) {
    const auto again = ParseByteSize(ExactByteSize(bytes));
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(*again, bytes);
  }
}

TEST(ByteSizeTest, HumanTextHasOneDecimalAndTheFittingUnit) {
  EXPECT_EQ(HumanByteSize(0), "0 B");
  EXPECT_EQ(HumanByteSize(900), "900 B");
  EXPECT_EQ(HumanByteSize(1024), "1 KiB");
  EXPECT_EQ(HumanByteSize(int64_t{512} << 20), "512 MiB");
  EXPECT_EQ(HumanByteSize(7730941132), "7.2 GiB");
  EXPECT_EQ(HumanByteSize((int64_t{1} << 30) - 1), "1 GiB") << "never 1024.0 MiB";
  EXPECT_EQ(HumanByteSize(-2048), "-2 KiB");
}

}  // namespace
}  // namespace stowage
