#include "trainer/interop/hf_export.h"

#include <filesystem>

#include "absl/strings/match.h"
#include "base/scoped_file_limit.h"
#include "trainer/interop/hf_config.h"
#include "trainer/interop/hf_tokenizer.h"
#include "trainer/interop/tensor_stream.h"
#include "trainer/interop/test_hf.h"

namespace stowage {
namespace {

class HfExportTest : public HfTest {
 protected:
  ExportOutcome Export(const Config& config, const Weights& weights, int64_t shard_bytes = kHfShardBytes) {
    const auto outcome = ExportToHuggingFace(Save(config.model, weights), config, Path("out"), shard_bytes);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    return outcome.ok() ? *outcome : ExportOutcome();
  }

  // That weights out and in again are the same, bit for bit.
  void ExpectRoundTrip(const Config& config, int64_t shard_bytes = kHfShardBytes) {
    const Weights weights = RandomWeights(config.model);
    Export(config, weights, shard_bytes);
    const auto back = Import(Path("out"), config.model);
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(*back, weights);
  }
};

TEST_F(HfExportTest, Gpt2GoesOutAndInUnchanged) { ExpectRoundTrip(Gpt2()); }

TEST_F(HfExportTest, Gpt2WithAHeadOfItsOwnGoesOutAndInUnchanged) {
  Config config = Gpt2();
  config.model.tie = false;
  ExpectRoundTrip(config);
}

TEST_F(HfExportTest, LlamaGoesOutAndInUnchanged) { ExpectRoundTrip(Llama()); }

TEST_F(HfExportTest, TiedLlamaGoesOutAndInUnchanged) {
  Config config = Llama();
  config.model.tie = true;
  ExpectRoundTrip(config);
}

TEST_F(HfExportTest, SeveralFilesWithAnIndexHoldTheSame) {
  ExpectRoundTrip(Llama(), 1000);
  EXPECT_TRUE(PathExists(Path("out/model.safetensors.index.json")));
  EXPECT_FALSE(PathExists(Path("out/model.safetensors")));
  const std::vector<std::string> names = *ListFolder(Path("out"));
  for (const std::string& name : names) {
    if (!absl::EndsWith(name, ".safetensors")) continue;
    const auto reader = SafetensorsReader::Open(Path("out/" + name));
    ASSERT_TRUE(reader.ok());
    EXPECT_TRUE(*FileBytes(Path("out/" + name)) < 3000 || reader->tensors().size() == 1) << name;
  }
}

TEST_F(HfExportTest, BiasesThatWeLackAreZeros) {
  Config config = Gpt2();
  config.model.bias = false;
  config.model.norm_bias = false;
  const Weights weights = RandomWeights(config.model);
  Export(config, weights);
  Config with_biases = Gpt2();
  const auto back = Import(Path("out"), with_biases.model);
  ASSERT_TRUE(back.ok()) << back.status();
  for (const auto& [name, values] : *back) {
    if (absl::EndsWith(name, ".bias")) {
      EXPECT_EQ(values, std::vector<float>(values.size(), 0.0f)) << name;
    } else {
      EXPECT_EQ(values, weights.at(name)) << name;
    }
  }
  // What has biases, zeros or not, is no model without them.
  const auto refused = Import(Path("out"), config.model).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(HfExportTest, TheConfigReadsBackToTheSameSizes) {
  for (const Config& config : {Gpt2(), Llama()}) {
    Export(config, RandomWeights(config.model));
    const auto settings = ReadHfConfig(Path("out"));
    ASSERT_TRUE(settings.ok()) << settings.status();
    std::map<std::string, std::string> values;
    for (const HfSetting& setting : *settings) values[setting.key] = setting.value;
    EXPECT_EQ(values["model.kind"], config.model.kind);
    EXPECT_EQ(values["model.layers"], "2");
    EXPECT_EQ(values["model.ffn"], "20");
    EXPECT_EQ(values["model.context"], "6");
    EXPECT_EQ(values["model.vocabulary"], "11");
    if (config.model.kind == "llama") {
      EXPECT_EQ(values["model.kv_heads"], "2");
      EXPECT_EQ(std::stod(values["model.norm_eps"]), 1e-6);
      EXPECT_EQ(std::stod(values["model.rope_theta"]), 5000.0);
    }
    ASSERT_TRUE(RemoveTree(Path("out")).ok());
  }
}

TEST_F(HfExportTest, ATransposedTensorIsTheSameWhateverTheChunk) {
  const Config config = Gpt2();
  const Weights weights = RandomWeights(config.model);
  const CheckpointReader checkpoint = Save(config.model, weights);
  const auto layout = HfLayout(config.model);
  int transposed = 0;
  for (const HfTensor& tensor : *layout) {
    if (!tensor.transposed) continue;
    ++transposed;
    for (int64_t chunk : {1, 7, 24, 60, 1000}) {
      std::vector<float> streamed;
      const absl::Status status = StreamTensor(checkpoint, tensor, chunk, [&](const float* data, int64_t n) {
        streamed.insert(streamed.end(), data, data + n);
        return absl::OkStatus();
      });
      ASSERT_TRUE(status.ok()) << status;
      const std::vector<float>& ours = weights.at(tensor.ours);
      ASSERT_EQ(streamed.size(), ours.size());
      for (int64_t row = 0; row < tensor.rows; ++row) {
        for (int64_t column = 0; column < tensor.columns; ++column) {
          ASSERT_EQ(streamed[column * tensor.rows + row], ours[row * tensor.columns + column]) << tensor.name;
        }
      }
    }
  }
  EXPECT_EQ(transposed, 8);
}

TEST_F(HfExportTest, AFolderWithFilesIsLeftAlone) {
  const Config config = Gpt2();
  const CheckpointReader checkpoint = Save(config.model, RandomWeights(config.model));
  ASSERT_TRUE(MakeFolders(Path("out")).ok());
  EXPECT_TRUE(ExportToHuggingFace(checkpoint, config, Path("out/")).ok()) << "an empty folder may be there";
  const auto before = *ListFolder(folder_);
  const auto refused = ExportToHuggingFace(checkpoint, config, Path("out"));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kAlreadyExists) << refused.status();
  EXPECT_EQ(*ListFolder(folder_), before);
}

TEST_F(HfExportTest, AFullDiskLeavesNothing) {
  const Config config = Gpt2();
  const CheckpointReader checkpoint = Save(config.model, RandomWeights(config.model));
  const auto before = *ListFolder(folder_);
  absl::Status status;
  {
    const ScopedFileLimit limit(6000);
    status = ExportToHuggingFace(checkpoint, config, Path("out")).status();
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(*ListFolder(folder_), before);
}

TEST_F(HfExportTest, ACheckpointOfAnotherModelIsRefused) {
  const CheckpointReader checkpoint = Save(Gpt2().model, RandomWeights(Gpt2().model));
  Config other = Gpt2();
  other.model.layers = 3;
  const auto refused = ExportToHuggingFace(checkpoint, other, Path("out")).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(refused.message(), "layer.2.")) << refused;
  other.model.kind = "rnn";
  EXPECT_EQ(ExportToHuggingFace(checkpoint, other, Path("out")).status().code(), absl::StatusCode::kUnimplemented);
}

TEST_F(HfExportTest, OurByteTokenizerIsKnownAgainAndOthersAreNot) {
  EXPECT_EQ(*FindHfTokenizer(folder_), HfTokenizerKind::kNone);
  Export(Gpt2(), RandomWeights(Gpt2().model));
  EXPECT_EQ(*FindHfTokenizer(Path("out")), HfTokenizerKind::kBytes);
  Write("tokenizer.json", R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}})");
  EXPECT_EQ(*FindHfTokenizer(folder_), HfTokenizerKind::kOther);
  Write("tokenizer.model", "...");
  EXPECT_EQ(*FindHfTokenizer(folder_), HfTokenizerKind::kSentencepiece);
}

}  // namespace
}  // namespace stowage
