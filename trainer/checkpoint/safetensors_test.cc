#include "trainer/checkpoint/safetensors.h"

#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/crc32c.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace stowage {
namespace {

using ::testing::HasSubstr;

std::string TestPath() {
  return absl::StrCat(testing::TempDir(), "/safetensors.", getpid(), ".",
                      testing::UnitTest::GetInstance()->current_test_info()->name());
}

SafetensorsTensor Entry(const std::string& name, DType dtype, std::vector<int64_t> shape) {
  SafetensorsTensor tensor;
  tensor.name = name;
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  return tensor;
}

// A file with that header and `data_bytes` bytes of data, as a stranger would make it.
std::string WriteRaw(const std::string& header, size_t data_bytes, int64_t claimed_length = -1) {
  const std::string path = TestPath();
  const uint64_t length = claimed_length >= 0 ? claimed_length : header.size();
  std::string text(8, '\0');
  std::memcpy(text.data(), &length, 8);
  EXPECT_TRUE(WriteFileDurably(path, text + header + std::string(data_bytes, 'd')).ok());
  return path;
}

void ExpectDataLoss(const std::string& header, size_t data_bytes, const std::string& says, int64_t claimed = -1) {
  const std::string path = WriteRaw(header, data_bytes, claimed);
  const absl::Status status = SafetensorsReader::Open(path).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << header << ": " << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(says)) << header;
  EXPECT_THAT(std::string(status.message()), HasSubstr(path));
  unlink(path.c_str());
}

TEST(SafetensorsTest, WhatIsWrittenReadsBackByRanges) {
  const std::string path = TestPath();
  const std::vector<float> weight = {1.5f, -2.0f, 3.25f, 0.0f, -0.0f, 6.0f};
  const std::vector<int64_t> counts = {7, -8};
  auto writer = SafetensorsWriter::Create(path,
                                          {Entry("weight", DType::kFloat32, {2, 3}),
                                           Entry("counts", DType::kInt64, {2}), Entry("none", DType::kUInt8, {0, 4})},
                                          {{"who", "test"}});
  ASSERT_TRUE(writer.ok()) << writer.status();
  for (size_t i : writer->order()) {
    const void* data = i == 0 ? static_cast<const void*>(weight.data()) : counts.data();
    ASSERT_TRUE(writer->Append(data, writer->tensors()[i].bytes).ok());
  }
  ASSERT_TRUE(writer->Finish().ok());
  EXPECT_EQ(writer->crc32c(), Crc32c(ReadFile(path).value()));
  EXPECT_EQ(writer->file_bytes(), FileBytes(path).value());

  const auto reader = SafetensorsReader::Open(path);
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ(reader->metadata().at("who"), "test");
  ASSERT_EQ(reader->tensors().size(), 3u);
  EXPECT_EQ(reader->tensors().at("weight").shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(reader->tensors().at("counts").dtype, DType::kInt64);
  std::vector<float> back(3);
  ASSERT_TRUE(reader->Read("weight", 2, 3, back.data()).ok());
  EXPECT_EQ(std::memcmp(back.data(), weight.data() + 2, 12), 0);
  int64_t one = 0;
  ASSERT_TRUE(reader->Read("counts", 1, 1, &one).ok());
  EXPECT_EQ(one, -8);
  EXPECT_EQ(reader->Read("counts", 1, 2, &one).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(reader->Read("no", 0, 1, &one).code(), absl::StatusCode::kNotFound);
  unlink(path.c_str());
}

TEST(SafetensorsTest, TensorsAreAlignedWithoutHoles) {
  const std::string path = TestPath();
  const auto writer =
      SafetensorsWriter::Create(path,
                                {Entry("odd_bytes", DType::kUInt8, {3}), Entry("halves", DType::kBFloat16, {5}),
                                 Entry("big", DType::kFloat32, {16, 4}), Entry("doubles", DType::kFloat64, {3}),
                                 Entry("scalar", DType::kFloat32, {}), Entry("big2", DType::kFloat32, {32})},
                                {});
  ASSERT_TRUE(writer.ok());
  int64_t end = -1;
  for (size_t i : writer->order()) {
    const SafetensorsTensor& tensor = writer->tensors()[i];
    EXPECT_EQ(tensor.file_offset % DTypeBytes(tensor.dtype), 0) << tensor.name;
    if (tensor.bytes % 64 == 0 || end < 0) {
      EXPECT_EQ(tensor.file_offset % 64, 0) << tensor.name;
    }
    if (end >= 0) {
      EXPECT_EQ(tensor.file_offset, end) << tensor.name;
    }
    end = tensor.file_offset + tensor.bytes;
  }
  unlink(path.c_str());
}

TEST(SafetensorsTest, WriterRefusesNamesAndShapesThatTheFormatCannotHold) {
  const auto code = [](std::vector<SafetensorsTensor> tensors) {
    return SafetensorsWriter::Create(TestPath(), std::move(tensors), {}).status().code();
  };
  const auto invalid = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(code({Entry("a", DType::kUInt8, {1}), Entry("a", DType::kUInt8, {1})}), invalid);
  EXPECT_EQ(code({Entry("", DType::kUInt8, {1})}), invalid);
  EXPECT_EQ(code({Entry("__metadata__", DType::kUInt8, {1})}), invalid);
  EXPECT_EQ(code({Entry("bad\xff", DType::kUInt8, {1})}), invalid);
  EXPECT_EQ(code({Entry("a", DType::kUInt8, {-1})}), invalid);
  EXPECT_EQ(code({Entry("a", DType::kFloat64, {int64_t{1} << 61})}), invalid);
  EXPECT_EQ(code({Entry("a", DType::kUInt8, {INT64_MAX}), Entry("b", DType::kUInt8, {INT64_MAX})}), invalid);
  EXPECT_FALSE(PathExists(TestPath()));
}

TEST(SafetensorsTest, AFileCutAnywhereIsDataLoss) {
  const std::string path = TestPath();
  auto writer = SafetensorsWriter::Create(path, {Entry("w", DType::kFloat32, {4})}, {});
  const float data[4] = {1, 2, 3, 4};
  ASSERT_TRUE(writer->Append(data, 16).ok());
  ASSERT_TRUE(writer->Finish().ok());
  const std::string whole = ReadFile(path).value();
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    ASSERT_TRUE(WriteFileDurably(path, whole.substr(0, bytes)).ok());
    EXPECT_EQ(SafetensorsReader::Open(path).status().code(), absl::StatusCode::kDataLoss) << bytes;
  }
  unlink(path.c_str());
}

TEST(SafetensorsTest, AHeaderThatLiesIsDataLossNamingTheFault) {
  const std::string good = R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  const std::string path = WriteRaw(good, 8);
  EXPECT_TRUE(SafetensorsReader::Open(path).ok());
  unlink(path.c_str());

  ExpectDataLoss(good, 8, "header claims", 1 << 20);
  ExpectDataLoss(good, 8, "header claims", INT64_MAX);
  ExpectDataLoss(good, 9, "tensors take 8 bytes, but the file has 9");
  ExpectDataLoss(good, 7, "the file has 7 bytes of data");
  ExpectDataLoss("[1]", 0, "not a JSON object");
  ExpectDataLoss("{\"w\":", 0, "not a JSON object");
  ExpectDataLoss(R"({"w":3})", 0, "not an object with dtype");
  ExpectDataLoss(R"({"w":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}})", 8, "F31");
  ExpectDataLoss(R"({"w":{"dtype":4,"shape":[2],"data_offsets":[0,8]}})", 8, "dtype is not text");
  ExpectDataLoss(R"({"w":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8, "shape");
  ExpectDataLoss(R"({"w":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}})", 8, "shape");
  ExpectDataLoss(R"({"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})", 8, "2^63");
  ExpectDataLoss(R"({"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8, "takes 12 bytes");
  ExpectDataLoss(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8, "data_offsets");
  ExpectDataLoss(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", 8, "not two counts");
  ExpectDataLoss(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551615]}})", 8, "not two counts");
  ExpectDataLoss(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", 12, "starts at data offset 4");
  ExpectDataLoss(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                 R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                 12, "tensor b starts at data offset 4, but the one before ends at 8");
  ExpectDataLoss(R"({"__metadata__":{"a":1}})", 0, "not text");
}

}  // namespace
}  // namespace stowage
