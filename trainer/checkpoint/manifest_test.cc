#include "trainer/checkpoint/manifest.h"

#include <string>

#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace stowage {
namespace {

using ::testing::HasSubstr;

Manifest TwoRanks() {
  Manifest manifest;
  manifest.info.step = 200;
  manifest.info.must_match = {{"model.layers", "6"}, {"odd \"name\"\n", "\xc3\xa9"}};
  manifest.info.noted = {{"threads", "2"}};
  manifest.world_size = 2;
  manifest.files = {{"rank-00000.safetensors", {1000, 0xe3069283u}}, {"rank-00001.safetensors", {500, 7u}}};
  Manifest::Tensor& tensor = manifest.tensors["w"];
  tensor.shape = {10, 10};
  tensor.numel = 100;
  tensor.ranges = {{"rank-00000.safetensors", 64, 0, 60}, {"rank-00001.safetensors", 128, 60, 40}};
  return manifest;
}

TEST(ManifestTest, ReadsBackWhatWasWritten) {
  const auto text = ManifestToJson(TwoRanks());
  ASSERT_TRUE(text.ok());
  auto back = ManifestFromJson(*text);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->info.step, 200);
  EXPECT_EQ(back->world_size, 2);
  EXPECT_EQ(back->info.must_match, TwoRanks().info.must_match);
  EXPECT_EQ(back->info.noted, TwoRanks().info.noted);
  EXPECT_EQ(back->files.at("rank-00001.safetensors").bytes, 500);
  EXPECT_EQ(back->files.at("rank-00000.safetensors").crc32c, 0xe3069283u);
  EXPECT_EQ(back->tensors.at("w").numel, 100);
  EXPECT_EQ(back->tensors.at("w").ranges[1].first, 60);
  EXPECT_TRUE(CheckManifest(*back).ok());
  EXPECT_EQ(*ManifestToJson(*back), *text);
}

TEST(ManifestTest, CutAnywhereIsDataLoss) {
  const std::string text = *ManifestToJson(TwoRanks());
  for (size_t bytes = 0; bytes + 2 < text.size(); ++bytes) {  // the last two are "}\n"; "\n" may go
    EXPECT_EQ(ManifestFromJson(text.substr(0, bytes)).status().code(), absl::StatusCode::kDataLoss) << bytes;
  }
}

TEST(ManifestTest, AnyAlteredValueIsFound) {
  const std::string text = *ManifestToJson(TwoRanks());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ' ' || text[i] == '\n') continue;  // space between values means nothing
    std::string altered = text;
    altered[i] ^= 1;
    EXPECT_FALSE(ManifestFromJson(altered).ok()) << i << " of\n" << altered;
  }
}

TEST(ManifestTest, AnotherFormatVersionIsNamedWithOurs) {
  const std::string text =
      absl::StrReplaceAll(*ManifestToJson(TwoRanks()), {{"\"format_version\": 1", "\"format_version\": 9"}});
  const absl::Status status = ManifestFromJson(text).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("format version 9, this program reads version 1"));
}

TEST(ManifestTest, TextThatIsNotUtf8IsRefused) {
  Manifest manifest = TwoRanks();
  manifest.info.must_match["path"] = "\xff";
  EXPECT_EQ(ManifestToJson(manifest).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ManifestTest, FilesOutsideTheFolderAreRefused) {
  Manifest manifest = TwoRanks();
  manifest.files["../secret"] = {1, 1};
  EXPECT_EQ(ManifestFromJson(*ManifestToJson(manifest)).status().code(), absl::StatusCode::kDataLoss);
}

TEST(ManifestTest, RangesMustCoverEachTensorOnce) {
  const auto message = [](void (*change)(Manifest&)) {
    Manifest manifest = TwoRanks();
    change(manifest);
    const absl::Status status = CheckManifest(manifest);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(message([](Manifest& m) { m.tensors["w"].ranges[1].first = 61; }),
              HasSubstr("nobody wrote elements [60, 61)"));
  EXPECT_THAT(message([](Manifest& m) { m.tensors["w"].ranges[1].first = 59; }),
              HasSubstr("written twice: elements [59, 60)"));
  EXPECT_THAT(message([](Manifest& m) { m.tensors["w"].ranges[1].numel = 41; }), HasSubstr("has 100"));
  EXPECT_THAT(message([](Manifest& m) { m.tensors["w"].ranges.pop_back(); }),
              HasSubstr("nobody wrote elements [60, 100)"));
  EXPECT_THAT(message([](Manifest& m) { m.tensors["w"].ranges[1].file = "x"; }), HasSubstr("no file x"));
  EXPECT_THAT(message([](Manifest& m) { m.tensors["w"].ranges[1].file_offset = 400; }), HasSubstr("which has 500"));
}

TEST(ManifestTest, PartsOfRanksThatDisagreeAreRefused) {
  Manifest whole = TwoRanks();
  Manifest part;
  part.tensors["w"].shape = {100};
  EXPECT_THAT(std::string(AddPart(part, whole).message()), HasSubstr("tensor w: one rank has [10, 10]"));
  Manifest same_file;
  same_file.files["rank-00000.safetensors"] = {1, 1};
  EXPECT_EQ(AddPart(same_file, whole).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace stowage
