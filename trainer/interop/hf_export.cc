#include "trainer/interop/hf_export.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "trainer/checkpoint/safetensors.h"
#include "trainer/checkpoint/tensor_shape.h"
#include "trainer/data/tokenizers/make_tokenizer.h"
#include "trainer/interop/hf_files.h"
#include "trainer/interop/hf_layout.h"
#include "trainer/interop/hf_tokenizer.h"
#include "trainer/interop/tensor_stream.h"

namespace stowage {
namespace {

using Json = nlohmann::ordered_json;

// 32 MiB: the columns of a wide matrix are then read by kilobytes, not by bytes.
constexpr int64_t kChunkNumel = int64_t{8} << 20;

// Version of `transformers` whose files these are; older ones from 4.45 on read them too.
constexpr char kTransformersVersion[] = "5.23.0";

absl::Status CheckTensors(const CheckpointReader& checkpoint, const std::vector<HfTensor>& layout) {
  std::vector<std::string> wrong;
  std::map<std::string, bool> known;
  for (const HfTensor& tensor : layout) {
    if (tensor.ours.empty() || !known.emplace(tensor.ours, true).second) continue;
    const auto found = checkpoint.tensors().find(tensor.ours);
    if (found == checkpoint.tensors().end()) {
      wrong.push_back(absl::StrCat("it lacks ", tensor.ours));
    } else if (found->second.shape != tensor.our_shape || found->second.dtype != DType::kFloat32) {
      wrong.push_back(absl::StrCat(tensor.ours, " is ", DTypeName(found->second.dtype), " ",
                                   ShapeText(found->second.shape), ", its config makes it F32 ",
                                   ShapeText(tensor.our_shape)));
    }
  }
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    if (known.count(name) == 0 && !absl::StartsWith(name, "optimizer.")) {
      wrong.push_back(absl::StrCat(name, " is not in its config's model"));
    }
  }
  if (wrong.empty()) return absl::OkStatus();
  wrong.resize(std::min<size_t>(wrong.size(), 5));
  return absl::FailedPreconditionError(absl::StrCat(checkpoint.path(), ": ", absl::StrJoin(wrong, "; ")));
}

// `end`: the id that ends a document; none: not said.
Json ConfigJson(const ModelConfig& model, std::optional<int64_t> end) {
  const Json end_json = end ? Json(*end) : Json();
  Json json;
  if (model.kind == "gpt2") {
    json = {{"architectures", {"GPT2LMHeadModel"}},
            {"model_type", "gpt2"},
            {"activation_function", "gelu_new"},
            {"n_layer", model.layers},
            {"n_embd", model.width},
            {"n_head", model.heads},
            {"n_positions", model.context},
            {"n_inner", *model.ffn},
            {"layer_norm_epsilon", 1e-5},
            {"attn_pdrop", 0.0},
            {"embd_pdrop", model.dropout},
            {"resid_pdrop", model.dropout}};
  } else {
    json = {{"architectures", {"LlamaForCausalLM"}},
            {"model_type", "llama"},
            {"hidden_act", "silu"},
            {"num_hidden_layers", model.layers},
            {"hidden_size", model.width},
            {"intermediate_size", *model.ffn},
            {"num_attention_heads", model.heads},
            {"num_key_value_heads", model.kv_heads.value_or(model.heads)},
            {"head_dim", model.width / model.heads},
            {"max_position_embeddings", model.context},
            {"rms_norm_eps", model.norm_eps},
            // Where transformers 4 looks, and where 5 does.
            {"rope_theta", model.rope_theta},
            {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", model.rope_theta}}},
            {"attention_bias", false},
            {"mlp_bias", false},
            {"attention_dropout", 0.0}};
  }
  json.update({{"vocab_size", *model.vocabulary},
               {"tie_word_embeddings", *model.tie},
               {"bos_token_id", nullptr},
               {"eos_token_id", end_json},
               {"pad_token_id", nullptr},
               {"dtype", "float32"},
               {"torch_dtype", "float32"},
               {"use_cache", true},
               {"transformers_version", kTransformersVersion}});
  return json;
}

// Tensors dealt to files of at most `shard_bytes` (one tensor may be more), in order.
std::vector<std::vector<size_t>> DealToFiles(const std::vector<HfTensor>& layout, int64_t shard_bytes) {
  std::vector<std::vector<size_t>> files(1);
  int64_t in_file = 0;
  for (size_t i = 0; i < layout.size(); ++i) {
    const int64_t bytes = layout[i].rows * layout[i].columns * DTypeBytes(DType::kFloat32);
    if (!files.back().empty() && bytes > shard_bytes - in_file) {
      files.emplace_back();
      in_file = 0;
    }
    files.back().push_back(i);
    in_file += bytes;
  }
  return files;
}

absl::Status WriteWeightFile(const CheckpointReader& checkpoint, const std::vector<HfTensor>& layout,
                             const std::vector<size_t>& which, const std::string& path) {
  std::vector<SafetensorsTensor> tensors;
  for (size_t i : which) tensors.push_back({layout[i].name, DType::kFloat32, layout[i].shape});
  STOWAGE_ASSIGN_OR_RETURN(SafetensorsWriter writer,
                           SafetensorsWriter::Create(path, std::move(tensors), {{"format", "pt"}}));
  for (size_t k : writer.order()) {
    STOWAGE_RETURN_IF_ERROR(StreamTensor(checkpoint, layout[which[k]], kChunkNumel, [&](const float* data, int64_t n) {
      return writer.Append(data, n * DTypeBytes(DType::kFloat32));
    }));
  }
  return writer.Finish();
}

absl::Status WriteJson(const std::string& folder, const char* file, const Json& json) {
  return WriteFileDurably(absl::StrCat(folder, "/", file), absl::StrCat(json.dump(2), "\n"));
}

absl::Status WriteWeights(const CheckpointReader& checkpoint, const std::vector<HfTensor>& layout, int64_t shard_bytes,
                          const std::string& folder, ExportOutcome* outcome) {
  const std::vector<std::vector<size_t>> files = DealToFiles(layout, shard_bytes);
  Json weight_map = Json::object();
  for (size_t f = 0; f < files.size(); ++f) {
    const std::string name =
        files.size() == 1 ? kHfWeightsFile : absl::StrFormat("model-%05d-of-%05d.safetensors", f + 1, files.size());
    STOWAGE_RETURN_IF_ERROR(WriteWeightFile(checkpoint, layout, files[f], absl::StrCat(folder, "/", name)));
    for (size_t i : files[f]) {
      weight_map[layout[i].name] = name;
      outcome->weight_bytes += layout[i].rows * layout[i].columns * DTypeBytes(DType::kFloat32);
    }
  }
  outcome->files = static_cast<int>(files.size());
  if (files.size() == 1) return absl::OkStatus();
  return WriteJson(folder, kHfIndexFile,
                   {{"metadata", {{"total_size", outcome->weight_bytes}}}, {"weight_map", weight_map}});
}

// Whether the ids of a letter stand for more than that letter.
absl::StatusOr<bool> AddsSpace(const Tokenizer& tokenizer) {
  STOWAGE_ASSIGN_OR_RETURN(const std::vector<int64_t> ids, tokenizer.Encode("a"));
  int64_t bytes = 0;
  for (int64_t id : ids) bytes += tokenizer.TextBytes(id);
  return bytes > 1;
}

// Writes what there is, and tells the id that ends a document where it is known.
absl::Status WriteTokenizer(const CheckpointReader& checkpoint, const Config& config, const std::string& folder,
                            std::optional<int64_t>* end_of_document, ExportOutcome* outcome) {
  const std::string& model = checkpoint.info().tokenizer_model;
  if (!model.empty()) {
    STOWAGE_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer, MakeTokenizer("sentencepiece", model));
    *end_of_document = tokenizer->end_of_document();
    STOWAGE_ASSIGN_OR_RETURN(const bool adds_space, AddsSpace(*tokenizer));
    return WriteHfSentencepiece(folder, model, adds_space, config.model.context);
  }
  if (config.data.tokenizer == "bytes") {
    *end_of_document = 0;
    return WriteHfByteTokenizer(folder, config.model.context);
  }
  outcome->said.push_back(
      "no tokenizer files: the model was trained on token files whose tokenizer Stowage does not know; put its own "
      "tokenizer.json beside the weights");
  return absl::OkStatus();
}

absl::Status CheckFree(const std::string& to) {
  if (!PathExists(to)) return absl::OkStatus();
  const absl::StatusOr<std::vector<std::string>> names = ListFolder(to);
  if (names.ok() && names->empty()) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat(to, ": ", names.ok() ? "is a folder with files in it" : "is there",
                                               "; give a new folder, or remove it first"));
}

}  // namespace

absl::StatusOr<ExportOutcome> ExportToHuggingFace(const CheckpointReader& checkpoint, const Config& config,
                                                  const std::string& to, int64_t shard_bytes) {
  STOWAGE_ASSIGN_OR_RETURN(const std::vector<HfTensor> layout, HfLayout(config.model));
  STOWAGE_RETURN_IF_ERROR(CheckTensors(checkpoint, layout));
  // Without a slash at its end, so that what is written aside lies beside it.
  const std::string target = (std::filesystem::path(to) / "").lexically_normal().parent_path().string();
  STOWAGE_RETURN_IF_ERROR(CheckFree(target));

  const std::string partial = absl::StrCat(target, ".partial-", getpid());
  STOWAGE_RETURN_IF_ERROR(RemoveTree(partial));
  STOWAGE_RETURN_IF_ERROR(MakeFolders(partial));
  absl::Cleanup remove = [&partial] { RemoveTree(partial).IgnoreError(); };

  ExportOutcome outcome;
  outcome.kind = config.model.kind;
  std::optional<int64_t> end_of_document;
  STOWAGE_RETURN_IF_ERROR(WriteTokenizer(checkpoint, config, partial, &end_of_document, &outcome));
  STOWAGE_RETURN_IF_ERROR(WriteJson(partial, kHfConfigFile, ConfigJson(config.model, end_of_document)));
  Json generation = {{"_from_model_config", true}, {"transformers_version", kTransformersVersion}};
  if (end_of_document) generation["eos_token_id"] = *end_of_document;
  STOWAGE_RETURN_IF_ERROR(WriteJson(partial, kHfGenerationConfigFile, generation));
  STOWAGE_RETURN_IF_ERROR(WriteWeights(checkpoint, layout, shard_bytes, partial, &outcome));
  STOWAGE_RETURN_IF_ERROR(SyncFolder(partial));
  // Takes the place of an empty folder, and fails on one that has got files meanwhile.
  STOWAGE_RETURN_IF_ERROR(RenameDurably(partial, target));
  std::move(remove).Cancel();
  return outcome;
}

}  // namespace stowage
