#include <limits>

#include "trainer/data/samples/safetensors_source.h"
#include "trainer/data/samples/samples_test_files.h"

namespace stowage {
namespace {

class SafetensorsSourceTest : public SamplesTest {
 protected:
  static Tensor Inputs(const std::vector<int64_t>& shape) {
    int64_t numel = 1;
    for (int64_t dimension : shape) numel *= dimension;
    std::vector<float> numbers(numel);
    for (int64_t i = 0; i < numel; ++i) numbers[i] = static_cast<float>(i) / 4;
    return {"inputs", DType::kFloat32, shape, Bytes(numbers)};
  }
  static Tensor Classes(const std::vector<int64_t>& classes) {
    return {"targets", DType::kInt64, {static_cast<int64_t>(classes.size())}, Bytes(classes)};
  }
  auto Open(const std::vector<Tensor>& tensors, int64_t known_classes = 0) {
    return SafetensorsSource::Open(WriteTensors("a.safetensors", tensors), known_classes);
  }
};

TEST_F(SafetensorsSourceTest, SequencesOfVectorsWithClasses) {
  auto source = Open({Inputs({3, 2, 4}), Classes({0, 4, 1})});
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ((*source)->size(), 3);
  EXPECT_EQ((*source)->shape().input, (std::vector<int64_t>{2, 4}));
  EXPECT_TRUE((*source)->shape().classes);
  EXPECT_EQ((*source)->shape().outputs, 5);
  float input[8];
  int64_t target = 0;
  ASSERT_TRUE((*source)->Read(1, input, &target, nullptr).ok());
  EXPECT_EQ(target, 4);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(input[i], static_cast<float>(8 + i) / 4);
}

TEST_F(SafetensorsSourceTest, DoublesAndNumbersToPredict) {
  auto source = Open({{"inputs", DType::kFloat64, {2, 1}, Bytes(std::vector<double>{0.5, 1.5})},
                      {"targets", DType::kFloat32, {2, 3}, Bytes(std::vector<float>{1, 2, 3, 4, 5, 6})},
                      {"more", DType::kUInt16, {1}, "ab"}});
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_FALSE((*source)->shape().classes);
  EXPECT_EQ((*source)->shape().outputs, 3);
  float input = 0, numbers[3];
  ASSERT_TRUE((*source)->Read(1, &input, nullptr, numbers).ok());
  EXPECT_EQ(input, 1.5f);
  EXPECT_EQ(numbers[2], 6.0f);
  source = Open({Inputs({2, 1}), {"targets", DType::kFloat64, {2}, Bytes(std::vector<double>{7, 8})}});
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ((*source)->shape().outputs, 1);
  ASSERT_TRUE((*source)->Read(1, &input, nullptr, numbers).ok());
  EXPECT_EQ(numbers[0], 8.0f);
}

TEST_F(SafetensorsSourceTest, SmallerKindsOfWholeNumbersAreClassesToo) {
  auto source = Open({Inputs({2, 1}), {"targets", DType::kInt32, {2}, Bytes(std::vector<int32_t>{1, 2})}});
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ((*source)->shape().outputs, 3);
  source = Open({Inputs({2, 1}), {"targets", DType::kUInt8, {2}, std::string("\x01\xff")}});
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ((*source)->shape().outputs, 256);
}

TEST_F(SafetensorsSourceTest, MissingTensorsAreToldWithThoseThatAreThere) {
  EXPECT_TRUE(Says(Open({Inputs({2, 1})}).status(), {"a.safetensors: has no tensor 'targets'", "It has: inputs"}));
  EXPECT_TRUE(Says(Open({Classes({1, 2})}).status(), {"has no tensor 'inputs'", "It has: targets"}));
}

TEST_F(SafetensorsSourceTest, OtherDtypesAndShapesAreRefusedByName) {
  EXPECT_TRUE(Says(Open({{"inputs", DType::kInt64, {2, 1}, std::string(16, 'a')}, Classes({1, 2})}).status(),
                   {"inputs is [2, 1] I64", "F32 or F64"}));
  EXPECT_TRUE(Says(Open({Inputs({2}), Classes({1, 2})}).status(), {"inputs is [2] F32", "[n, features]"}));
  EXPECT_TRUE(
      Says(Open({Inputs({2, 1}), {"targets", DType::kFloat16, {2}, "abcd"}}).status(), {"targets is [2] F16", "I64"}));
  EXPECT_TRUE(Says(Open({Inputs({2, 1}), {"targets", DType::kInt64, {2, 1}, std::string(16, '\0')}}).status(),
                   {"targets is [2, 1] I64"}));
  EXPECT_TRUE(Says(Open({Inputs({3, 1}), Classes({1, 2})}).status(), {"inputs has 3 samples, targets 2"}));
  EXPECT_TRUE(Says(Open({Inputs({0, 1}), Classes({})}).status(), {"hold nothing"}));
}

TEST_F(SafetensorsSourceTest, ClassesOutOfRangeAreNamedWithTheirPlace) {
  EXPECT_TRUE(Says(Open({Inputs({3, 1}), Classes({0, 1, -1})}).status(), {"class -1 at position 2"}));
  EXPECT_TRUE(Says(Open({Inputs({3, 1}), Classes({0, 1 << 24, 1})}).status(), {"class 16777216 at position 1"}));
  EXPECT_TRUE(Says(Open({Inputs({3, 1}), Classes({3, 0, 1})}, 3).status(), {"class 3 at position 0", "0 to 2"}));
}

TEST_F(SafetensorsSourceTest, HeadersThatLieAreDataLoss) {
  const std::string path = WriteTensors("a.safetensors", {Inputs({2, 2}), Classes({0, 1})});
  const std::string bytes = ReadAll(path);
  const auto open = [&](const std::string& contents) {
    return SafetensorsSource::Open(Write("b.safetensors", contents), 0).status();
  };
  EXPECT_EQ(open(bytes.substr(0, bytes.size() - 1)).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(open(bytes + "x").code(), absl::StatusCode::kDataLoss);
  std::string more = bytes;  // a shape that the bytes do not hold
  more.replace(more.find("[2,2]"), 5, "[9,2]");
  EXPECT_EQ(open(more).code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(Says(open(more), {"b.safetensors", "inputs"}));
  more = bytes;
  more[6] = 0x7f;  // the header's length: some 2^54
  EXPECT_TRUE(Says(open(more), {"header claims"}));
}

TEST_F(SafetensorsSourceTest, NumbersThatAreNoneAreFoundWhenTheyAreRead) {
  auto source =
      Open({{"inputs", DType::kFloat32, {2, 1}, Bytes(std::vector<float>{1, std::numeric_limits<float>::quiet_NaN()})},
            Classes({0, 1})});
  ASSERT_TRUE(source.ok()) << source.status();
  float input = 0;
  int64_t target = 0;
  EXPECT_TRUE((*source)->Read(0, &input, &target, nullptr).ok());
  EXPECT_TRUE(Says((*source)->Read(1, &input, &target, nullptr), {"inputs: element 1 is nan"}));
}

TEST_F(SafetensorsSourceTest, TheFingerprintIsOfBothTensors) {
  const std::string a = (*Open({Inputs({2, 1}), Classes({0, 1})}))->fingerprint();
  EXPECT_EQ((*Open({Classes({0, 1}), Inputs({2, 1})}))->fingerprint(), a);
  EXPECT_NE((*Open({Inputs({2, 1}), Classes({1, 0})}))->fingerprint(), a);
  EXPECT_NE((*Open({Inputs({2, 2}), Classes({0, 1})}))->fingerprint(), a);
}

}  // namespace
}  // namespace stowage
