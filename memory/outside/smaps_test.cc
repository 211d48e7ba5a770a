#include "memory/outside/smaps.h"

#include <algorithm>
#include <string>

#include "gtest/gtest.h"
#include "memory/outside/test_pages.h"

namespace stowage {
namespace {

// As Linux 6.1 writes it, shortened.
constexpr char kText[] =
    "55d0c8a00000-55d0c8a52000 r--p 00000000 08:01 1311793                    /opt/my tools/stowage\n"
    "Size:                328 kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\nRss:                 320 "
    "kB\n"
    "Pss:                 320 kB\nVmFlags: rd mr mw me sd \n"
    "55d0ca2f1000-55d0d22f1000 rw-p 00000000 00:00 0                          [heap]\n"
    "Size:             131072 kB\nRss:               82820 kB\nAnonHugePages:         0 kB\nVmFlags: rd wr mr mw me ac "
    "sd \n"
    "7f2a00000000-7f2a00010000 rwxp 00000000 00:00 0 \n"
    "Rss:                  64 kB\n"
    "7f2b00000000-7f2b10000000 rw-s 00000000 00:01 2057                       /memfd:window (deleted)\n"
    "Rss:              262144 kB\nVmFlags: rd wr sh mr mw me ms sd \n"
    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n"
    "Rss:                   0 kB\n";

void ExpectFixture(const std::vector<Mapping>& mappings) {
  ASSERT_EQ(mappings.size(), 5);
  EXPECT_EQ(mappings[0].begin, 0x55d0c8a00000);
  EXPECT_EQ(mappings[0].end, 0x55d0c8a52000);
  EXPECT_EQ(mappings[0].name, "/opt/my tools/stowage");
  EXPECT_FALSE(mappings[0].writable || mappings[0].executable || mappings[0].shared);
  EXPECT_EQ(mappings[0].rss_bytes, 320 << 10);
  EXPECT_EQ(mappings[1].name, "[heap]");
  EXPECT_EQ(mappings[1].rss_bytes, 82820 << 10);
  EXPECT_TRUE(mappings[1].writable);
  EXPECT_TRUE(mappings[2].anonymous() && mappings[2].executable && mappings[2].writable);
  EXPECT_EQ(mappings[2].rss_bytes, 64 << 10);
  EXPECT_TRUE(mappings[3].shared);
  EXPECT_EQ(mappings[3].name, "/memfd:window (deleted)");
  EXPECT_EQ(mappings[4].end, 0xffffffffff601000);
  EXPECT_EQ(mappings[4].rss_bytes, 0);
}

TEST(SmapsParserTest, ReadsARecordedFileWhereverItIsCut) {
  const std::string text = kText;
  for (size_t piece : {size_t{1}, size_t{7}, size_t{64}, text.size()}) {
    SmapsParser parser;
    for (size_t at = 0; at < text.size(); at += piece) parser.Add(text.substr(at, piece));
    const auto mappings = parser.Finish();
    ASSERT_TRUE(mappings.ok()) << mappings.status();
    ExpectFixture(*mappings);
  }
}

TEST(SmapsParserTest, TextThatIsNotOneIsDataLossWithTheLine) {
  for (const char* text : {"", "Rss:  12 kB\n", "7f00-zz00 rw-p 0 0:0 0\n", "7f2a00000000-7f2a00010000 rw\n",
                           "7f2a00000000-7f2a00010000 rwxp 00000000 00:00 0 \nRss: many kB\n"}) {
    SmapsParser parser;
    parser.Add(text);
    const auto mappings = parser.Finish();
    EXPECT_EQ(mappings.status().code(), absl::StatusCode::kDataLoss) << text;
  }
}

TEST(ReadSmapsTest, FindsAMappingOfThisProcessWithItsPages) {
  const auto pages = TestPages::Anonymous(6 << 20);
  const auto mappings = ReadSmaps();
  ASSERT_TRUE(mappings.ok()) << mappings.status();
  const uint64_t begin = reinterpret_cast<uint64_t>(pages->data());
  const auto found =
      std::find_if(mappings->begin(), mappings->end(), [&](const Mapping& m) { return m.begin == begin; });
  ASSERT_NE(found, mappings->end());
  EXPECT_EQ(found->end, begin + (6 << 20));
  EXPECT_EQ(found->rss_bytes, 6 << 20);
  EXPECT_TRUE(std::is_sorted(mappings->begin(), mappings->end(),
                             [](const Mapping& a, const Mapping& b) { return a.begin < b.begin; }));
  const auto part = ResidentBytes(begin + (1 << 20), begin + (3 << 20));
  ASSERT_TRUE(part.ok()) << part.status();
  EXPECT_EQ(*part, 2 << 20);
}

}  // namespace
}  // namespace stowage
