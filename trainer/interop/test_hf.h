// Small models as checkpoints and as Hugging Face folders, for the tests of this folder.
#ifndef STOWAGE_TRAINER_INTEROP_TEST_HF_H_
#define STOWAGE_TRAINER_INTEROP_TEST_HF_H_

#include <unistd.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/hash.h"
#include "gtest/gtest.h"
#include "sharding/solo_communicator.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/checkpoint/safetensors.h"
#include "trainer/interop/hf_import.h"
#include "trainer/interop/hf_layout.h"

namespace stowage {

class HfTest : public testing::Test {
 protected:
  using Weights = std::map<std::string, std::vector<float>>;  // our parameters by name

  void SetUp() override {
    folder_ = absl::StrCat(testing::TempDir(), "/hf.", getpid(), ".",
                           testing::UnitTest::GetInstance()->current_test_info()->name());
    ASSERT_TRUE(RemoveTree(folder_).ok());
    ASSERT_TRUE(MakeFolders(folder_).ok());
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(folder_).ok()); }

  std::string Path(const std::string& name) const { return absl::StrCat(folder_, "/", name); }
  void Write(const std::string& name, const std::string& contents) {
    ASSERT_TRUE(WriteFileDurably(Path(name), contents).ok());
  }

  static Config Gpt2() {
    Config config;
    config.model.kind = "gpt2";
    config.model.layers = 2;
    config.model.width = 8;
    config.model.heads = 2;
    config.model.context = 6;
    config.model.ffn = 20;
    config.model.vocabulary = 11;
    config.model.tie = true;
    config.model.norm_bias = true;
    config.data.tokenizer = "bytes";
    return config;
  }

  static Config Llama() {
    Config config = Gpt2();
    config.model.kind = "llama";
    config.model.heads = 4;
    config.model.kv_heads = 2;
    config.model.tie = false;
    config.model.norm_eps = 1e-6;
    config.model.rope_theta = 5000.0;
    return config;
  }

  // Names and shapes of the model's parameters.
  static std::map<std::string, std::vector<int64_t>> Parameters(const ModelConfig& model) {
    std::map<std::string, std::vector<int64_t>> parameters;
    const auto layout = HfLayout(model);
    for (const HfTensor& tensor : *layout) {
      if (!tensor.ours.empty()) parameters[tensor.ours] = tensor.our_shape;
    }
    return parameters;
  }

  static Weights RandomWeights(const ModelConfig& model) {
    Weights weights;
    uint64_t next = 0;
    for (const auto& [name, shape] : Parameters(model)) {
      int64_t numel = 1;
      for (int64_t dim : shape) numel *= dim;
      std::vector<float>& values = weights[name];
      for (int64_t i = 0; i < numel; ++i) values.push_back(static_cast<float>(HashKey({++next}) >> 40) * 1e-7f - 0.8f);
    }
    return weights;
  }

  // A checkpoint with these weights and one optimizer tensor.
  CheckpointReader Save(const ModelConfig& model, const Weights& weights, int64_t step = 3) {
    SoloCommunicator solo;
    std::vector<TensorPiece> pieces;
    for (const auto& [name, shape] : Parameters(model)) {
      const std::vector<float>& values = weights.at(name);
      pieces.push_back({name, DType::kFloat32, shape, 0, static_cast<int64_t>(values.size()), values.data()});
    }
    const std::vector<float>& norm = weights.at("head.norm.weight");
    pieces.push_back({"optimizer.exp_avg.head.norm.weight",
                      DType::kFloat32,
                      {static_cast<int64_t>(norm.size())},
                      0,
                      static_cast<int64_t>(norm.size()),
                      norm.data()});
    CheckpointInfo info;
    info.step = step;
    info.config_yaml = "{}";
    const auto path = SaveCheckpoint(solo, Path("checkpoints"), info, pieces, 3);
    EXPECT_TRUE(path.ok()) << path.status();
    return *CheckpointReader::Open(*path);
  }

  // Into buffers that start as NaN, so that what is not written shows.
  static absl::StatusOr<Weights> Import(const std::string& folder, const ModelConfig& model) {
    Weights weights;
    std::map<std::string, ImportTarget> targets;
    for (const auto& [name, values] : RandomWeights(model)) {
      weights[name].assign(values.size(), std::numeric_limits<float>::quiet_NaN());
    }
    for (const auto& [name, shape] : Parameters(model)) targets[name] = {shape, weights[name].data()};
    const absl::Status status = ImportHfWeights(folder, model, targets);
    if (!status.ok()) return status;
    return weights;
  }

  // A folder's safetensors file, one tensor changed by `edit` before it is written.
  using Edit = std::function<void(std::vector<SafetensorsTensor>*)>;
  void WriteWeights(const std::string& file, const ModelConfig& model, const Edit& edit) {
    std::vector<SafetensorsTensor> tensors;
    const auto layout = HfLayout(model);
    for (const HfTensor& tensor : *layout) tensors.push_back({tensor.name, DType::kFloat32, tensor.shape});
    edit(&tensors);
    auto writer = SafetensorsWriter::Create(Path(file), tensors, {});
    ASSERT_TRUE(writer.ok()) << writer.status();
    for (size_t i : writer->order()) {
      const std::string zeros(writer->tensors()[i].bytes, '\0');
      ASSERT_TRUE(writer->Append(zeros.data(), static_cast<int64_t>(zeros.size())).ok());
    }
    ASSERT_TRUE(writer->Finish().ok());
  }

  std::string folder_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_INTEROP_TEST_HF_H_
