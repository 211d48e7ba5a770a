#include "trainer/interop/hf_weights.h"

#include <cstring>

#include "trainer/interop/hf_files.h"
#include "trainer/interop/test_hf.h"

namespace stowage {
namespace {

class HfWeightsTest : public HfTest {
 protected:
  static void ExpectRefused(const absl::Status& status, absl::StatusCode code, const std::vector<std::string>& parts) {
    EXPECT_EQ(status.code(), code) << status;
    for (const std::string& part : parts) {
      EXPECT_NE(status.message().find(part), absl::string_view::npos) << part << " in: " << status;
    }
  }

  // What Import says of a folder whose tensors `edit` has changed.
  absl::Status ImportEdited(const Edit& edit) {
    WriteWeights(kHfWeightsFile, Gpt2().model, edit);
    return Import(folder_, Gpt2().model).status();
  }
};

TEST_F(HfWeightsTest, HalfPrecisionIsReadExactly) {
  const std::vector<uint16_t> bf16 = {0x3f80, 0xc000, 0x0001}, f16 = {0x3c00, 0xc000, 0x0001};
  auto writer = SafetensorsWriter::Create(
      Path(kHfWeightsFile), {{"b", DType::kBFloat16, {3}}, {"h", DType::kFloat16, {3}}, {"i", DType::kInt32, {0}}}, {});
  ASSERT_TRUE(writer.ok());
  for (size_t i : writer->order()) {
    const auto& data = writer->tensors()[i].name == "b" ? bf16 : f16;
    ASSERT_TRUE(writer->Append(data.data(), writer->tensors()[i].bytes).ok());
  }
  ASSERT_TRUE(writer->Finish().ok());
  const auto weights = HfWeights::Open(folder_);
  ASSERT_TRUE(weights.ok()) << weights.status();
  std::vector<float> read(3);
  ASSERT_TRUE(weights->ReadFloats("b", 0, 3, read.data()).ok());
  EXPECT_EQ(read, (std::vector<float>{1.0f, -2.0f, 0x1p-133f}));
  ASSERT_TRUE(weights->ReadFloats("h", 0, 3, read.data()).ok());
  EXPECT_EQ(read, (std::vector<float>{1.0f, -2.0f, 0x1p-24f}));
  ExpectRefused(weights->ReadFloats("i", 0, 0, read.data()), absl::StatusCode::kInvalidArgument, {"I32", "BF16"});
}

TEST_F(HfWeightsTest, AFolderWithoutWeightsSaysWhatItLooksFor) {
  ExpectRefused(HfWeights::Open(folder_).status(), absl::StatusCode::kNotFound,
                {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"});
}

TEST_F(HfWeightsTest, AnIndexThatNamesWhatIsNotThereIsRefused) {
  Write(kHfIndexFile, R"({"weight_map": {"a": "model-00001-of-00001.safetensors"}})");
  ExpectRefused(HfWeights::Open(folder_).status(), absl::StatusCode::kNotFound,
                {"index.json", "model-00001-of-00001.safetensors"});
  WriteWeights("model-00001-of-00001.safetensors", Gpt2().model, [](auto*) {});
  ExpectRefused(HfWeights::Open(folder_).status(), absl::StatusCode::kDataLoss, {"a should be in"});
  Write(kHfIndexFile, R"({"weight_map": {"a": "../model.safetensors"}})");
  ExpectRefused(HfWeights::Open(folder_).status(), absl::StatusCode::kDataLoss, {"no file name"});
  Write(kHfIndexFile, "{");
  ExpectRefused(HfWeights::Open(folder_).status(), absl::StatusCode::kDataLoss, {"weight_map"});
}

TEST_F(HfWeightsTest, AFileThatIsCutShortOrLiesAboutItsHeaderIsRefused) {
  WriteWeights(kHfWeightsFile, Gpt2().model, [](auto*) {});
  const std::string whole = *ReadFile(Path(kHfWeightsFile));
  Write(kHfWeightsFile, whole.substr(0, whole.size() - 100));
  ExpectRefused(Import(folder_, Gpt2().model).status(), absl::StatusCode::kDataLoss, {kHfWeightsFile});
  for (uint64_t length : {uint64_t{1} << 62, static_cast<uint64_t>(whole.size()), uint64_t{12}}) {
    std::string lies = whole;
    std::memcpy(lies.data(), &length, sizeof(length));
    Write(kHfWeightsFile, lies);
    ExpectRefused(Import(folder_, Gpt2().model).status(), absl::StatusCode::kDataLoss, {kHfWeightsFile, "header"});
  }
}

TEST_F(HfWeightsTest, AMissingTensorIsNamed) {
  const absl::Status status = ImportEdited([](auto* tensors) { tensors->erase(tensors->begin() + 2); });
  ExpectRefused(status, absl::StatusCode::kFailedPrecondition, {"no tensor transformer.h.0.ln_1.weight", "[8]"});
}

TEST_F(HfWeightsTest, AWrongShapeIsNamedWithBothShapes) {
  const absl::Status status = ImportEdited([](auto* tensors) { (*tensors)[0].shape = {12, 8}; });
  ExpectRefused(status, absl::StatusCode::kFailedPrecondition, {"transformer.wte.weight", "[12, 8]", "[11, 8]"});
}

TEST_F(HfWeightsTest, ATensorWithoutAPlaceIsNamed) {
  const absl::Status status = ImportEdited([](auto* tensors) {
    tensors->push_back({"transformer.h.2.ln_1.weight", DType::kFloat32, {8}});
  });
  ExpectRefused(status, absl::StatusCode::kFailedPrecondition, {"transformer.h.2.ln_1.weight", "no place"});
}

TEST_F(HfWeightsTest, WhatOldVersionsSavedBesideIsIgnored) {
  const absl::Status status = ImportEdited([](auto* tensors) {
    for (auto& tensor : *tensors) tensor.name = tensor.name.substr(tensor.name.find('.') + 1);  // "h.0.ln_1.weight"
    tensors->push_back({"h.0.attn.bias", DType::kUInt8, {1, 1, 6, 6}});
    tensors->push_back({"lm_head.weight", DType::kFloat32, {11, 8}});
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(HfWeightsTest, PositionsBeyondTheContextAreCut) {
  const Config config = Gpt2();
  WriteWeights(kHfWeightsFile, config.model, [](auto* tensors) { (*tensors)[1].shape = {9, 8}; });
  EXPECT_TRUE(Import(folder_, config.model).ok());
  WriteWeights(kHfWeightsFile, config.model, [](auto* tensors) { (*tensors)[1].shape = {5, 8}; });
  EXPECT_FALSE(Import(folder_, config.model).ok());
}

}  // namespace
}  // namespace stowage
