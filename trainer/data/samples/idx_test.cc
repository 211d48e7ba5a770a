#include "trainer/data/builtin_source.h"
#include "trainer/data/samples/idx_file.h"
#include "trainer/data/samples/idx_source.h"
#include "trainer/data/samples/samples_test_files.h"

namespace stowage {
namespace {

using IdxTest = SamplesTest;

TEST_F(IdxTest, PlainAndCompressedFilesReadTheSame) {
  const std::string bytes = Idx({2, 3, 2}, Counting(12));
  for (const std::string& path : {Write("images", bytes), WriteGzip("images.gz", bytes)}) {
    auto array = ReadIdxFile(path);
    ASSERT_TRUE(array.ok()) << array.status();
    EXPECT_EQ(array->shape, (std::vector<int64_t>{2, 3, 2}));
    EXPECT_EQ(std::string(array->elements.begin(), array->elements.end()), Counting(12));
  }
}

TEST_F(IdxTest, FilesCutShortAreRefusedWithWhatTheyHold) {
  const std::string whole = Idx({4, 3, 2}, Counting(24));
  EXPECT_TRUE(
      Says(ReadIdxFile(Write("a", whole.substr(0, 30))).status(), {"/a: is cut short", "4 x 3 x 2 bytes", "holds 14"}));
  EXPECT_TRUE(Says(ReadIdxFile(Write("b", whole.substr(0, 10))).status(), {"/b: is cut short inside its header"}));
  EXPECT_EQ(ReadIdxFile(Path("b")).status().code(), absl::StatusCode::kDataLoss);
  WriteGzip("c.gz", whole);
  const std::string compressed = ReadAll(Path("c.gz"));
  const auto cut = ReadIdxFile(Write("d.gz", compressed.substr(0, compressed.size() - 10)));
  EXPECT_EQ(cut.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(Says(cut.status(), {"/d.gz", "damaged or cut short"}));
}

TEST_F(IdxTest, DamagedCompressionIsRefused) {
  const std::string path = WriteGzip("a.gz", Idx({64, 8, 8}, Counting(4096)));
  std::string bytes = ReadAll(path);
  bytes[bytes.size() / 2] ^= 0x55;
  EXPECT_EQ(ReadIdxFile(Write("a.gz", bytes)).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(IdxTest, OtherFilesAreRefusedWithWhatTheyBeginWith) {
  EXPECT_TRUE(Says(ReadIdxFile(Write("a", "hello world")).status(), {"/a: is not an IDX file", "68 65 6c 6c"}));
  EXPECT_TRUE(Says(ReadIdxFile(Write("b", "")).status(), {"/b: is not an IDX file", "empty"}));
  EXPECT_TRUE(Says(ReadIdxFile(Write("c", Idx({2}, "12345678", 0x0d))).status(), {"type 0x0d", "unsigned bytes"}));
  EXPECT_TRUE(Says(ReadIdxFile(Write("d", Idx({}, ""))).status(), {"is not an IDX file"}));
  EXPECT_EQ(ReadIdxFile(Path("none")).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(IdxTest, AHeaderThatLiesIsCaughtAndTakesNoMemory) {
  // 2^32 - 1 images of 65535 x 65535: 2^64 bytes; and 4 GiB, which would be a lot to take for nothing.
  EXPECT_TRUE(
      Says(ReadIdxFile(Write("a", Idx({0xffffffff, 0xffff, 0xffff}, "x"))).status(), {"more than there can be"}));
  EXPECT_TRUE(
      Says(ReadIdxFile(Write("b", Idx({0xffffffff, 1, 1}, "x"))).status(), {"cut short", "4294967295 x 1 x 1"}));
  EXPECT_TRUE(Says(ReadIdxFile(Write("c", Idx({2, 2, 2}, Counting(9)))).status(), {"longer than its header says"}));
  EXPECT_TRUE(Says(ReadIdxFile(Write("d", Idx({0, 28, 28}, ""))).status(), {"holds nothing"}));
}

class IdxSourceTest : public SamplesTest {
 protected:
  std::string Images(int count) {
    return Write("images", Idx({static_cast<uint32_t>(count), 2, 3}, Counting(6 * count)));
  }
  std::string Labels(const std::string& labels) {
    return Write("labels", Idx({static_cast<uint32_t>(labels.size())}, labels));
  }
};

TEST_F(IdxSourceTest, ImagesHaveAChannelAndPixelsFromZeroToOne) {
  auto source = IdxSource::Open(Images(3), Labels({2, 0, 1}), 0);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ((*source)->size(), 3);
  EXPECT_EQ((*source)->shape().input, (std::vector<int64_t>{1, 2, 3}));
  EXPECT_TRUE((*source)->shape().classes);
  EXPECT_EQ((*source)->shape().outputs, 3);
  float input[6];
  int64_t target = -1;
  ASSERT_TRUE((*source)->Read(1, input, &target, nullptr).ok());
  EXPECT_EQ(target, 0);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(input[i], static_cast<float>(6 + i) / 255.0f);
}

TEST_F(IdxSourceTest, CountsThatDifferAreBothNamed) {
  EXPECT_TRUE(Says(IdxSource::Open(Images(3), Labels({1, 0}), 0).status(), {"3 images", "2 labels"}));
}

TEST_F(IdxSourceTest, FilesTheWrongWayRoundAreTold) {
  EXPECT_TRUE(Says(IdxSource::Open(Labels({1, 0}), Images(2), 0).status(), {"[images, labels]"}));
}

TEST_F(IdxSourceTest, LabelsOutOfRangeAreNamedWithTheirPlace) {
  EXPECT_TRUE(Says(IdxSource::Open(Images(3), Labels({1, 7, 0}), 5).status(),
                   {"labels: label 7 at position 1", "classes 0 to 4"}));
  auto source = IdxSource::Open(Images(3), Labels({1, 3, 0}), 5);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ((*source)->shape().outputs, 5);
}

TEST_F(IdxSourceTest, TheFingerprintIsOfPixelsAndLabelsNotOfNames) {
  auto a = IdxSource::Open(Images(3), Labels({1, 2, 0}), 0);
  auto b = IdxSource::Open(WriteGzip("other.gz", Idx({3, 2, 3}, Counting(18))), Path("labels"), 0);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ((*a)->fingerprint(), (*b)->fingerprint());
  auto c = IdxSource::Open(Path("images"), Labels({1, 0, 2}), 0);
  EXPECT_NE((*a)->fingerprint(), (*c)->fingerprint());
}

// The numbers are those of the package's README: 60,000 and 10,000 images, 10 classes of equal size.
TEST(FashionMnistTest, IsWhatThePackageSays) {
  auto files = FindBuiltinImages("fashion-mnist");
  ASSERT_TRUE(files.ok()) << files.status();
  auto source = IdxSource::Open(files->validation[0], files->validation[1], 0);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ((*source)->size(), 10000);
  EXPECT_EQ((*source)->shape().input, (std::vector<int64_t>{1, 28, 28}));
  EXPECT_EQ((*source)->shape().outputs, 10);
  std::vector<float> image(784);
  std::vector<int> count(10);
  for (int64_t i = 0; i < 10000; ++i) {
    int64_t target = 0;
    ASSERT_TRUE((*source)->Read(i, image.data(), &target, nullptr).ok());
    ++count[target];
  }
  EXPECT_EQ(count, std::vector<int>(10, 1000));
}

}  // namespace
}  // namespace stowage
