#include "trainer/metrics/event_file.h"

#include <cstring>
#include <string>
#include <vector>

#include "base/crc32c.h"
#include "base/file.h"
#include "base/scoped_file_limit.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "trainer/metrics/test_folder.h"

namespace stowage {
namespace {

using ::testing::HasSubstr;

class EventFileTest : public FolderTest {
 protected:
  // Records of a file, each frame checked against the format's definition.
  static std::vector<std::string> Records(const std::string& path) {
    const std::string file = ReadFile(path).value();
    const auto masked = [](absl::string_view data) {
      const uint32_t crc = Crc32c(data);
      return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
    };
    std::vector<std::string> records;
    size_t at = 0;
    while (at < file.size()) {
      uint64_t length = 0;
      uint32_t length_crc = 0, data_crc = 0;
      std::memcpy(&length, file.data() + at, 8);
      std::memcpy(&length_crc, file.data() + at + 8, 4);
      EXPECT_EQ(length_crc, masked(absl::string_view(file).substr(at, 8)));
      records.push_back(file.substr(at + 12, length));
      std::memcpy(&data_crc, file.data() + at + 12 + length, 4);
      EXPECT_EQ(data_crc, masked(records.back()));
      at += 16 + length;
    }
    EXPECT_EQ(at, file.size());
    return records;
  }
};

TEST_F(EventFileTest, RecordsHaveTheFormatsFramesAndBytes) {
  auto events = EventFile::Create(folder_);
  ASSERT_TRUE(events.ok()) << events.status();
  EXPECT_THAT(events->path(), HasSubstr("/events.out.tfevents."));
  ASSERT_TRUE(events->WriteRestart(7).ok());
  ASSERT_TRUE(events->Write(300, {{"a/b", 0.5}, {"c", -2.0}}).ok());
  ASSERT_TRUE(events->Close().ok());

  const auto records = Records(events->path());
  ASSERT_EQ(records.size(), 3u);
  // Each starts with the wall time: key 0x09 and a double.
  const auto after_time = [](const std::string& record) { return record.substr(9); };
  EXPECT_EQ(after_time(records[0]), std::string("\x10\x00\x1a\x0d", 4) + "brain.Event:2");
  EXPECT_EQ(after_time(records[1]), std::string("\x10\x07\x3a\x02\x08\x01", 6));
  EXPECT_EQ(after_time(records[2]), std::string("\x10\xac\x02"  // step 300
                                                "\x2a\x16"      // summary, 22 bytes
                                                "\x0a\x0a\x0a\x03"
                                                "a/b\x15\x00\x00\x00\x3f"
                                                "\x0a\x08\x0a\x01"
                                                "c\x15\x00\x00\x00\xc0",
                                                27));
}

TEST_F(EventFileTest, FilesMadeInTheSameSecondAreTwoAndSortInOrder) {
  const auto first = EventFile::Create(folder_);
  const auto second = EventFile::Create(folder_);
  const auto third = EventFile::Create(folder_);
  EXPECT_LT(first->path(), second->path());
  EXPECT_LT(second->path(), third->path());
}

TEST_F(EventFileTest, AFullDiskLeavesWholeRecords) {
  auto events = EventFile::Create(folder_);
  {
    ScopedFileLimit full(70);
    EXPECT_FALSE(events->Write(1, {{"loss", 1.0}, {"and/some/more", 2.0}}).ok());
  }
  EXPECT_EQ(Records(events->path()).size(), 1u);
  EXPECT_TRUE(events->Write(2, {{"loss", 1.0}}).ok());
  EXPECT_EQ(Records(events->path()).size(), 2u);
}

}  // namespace
}  // namespace stowage
