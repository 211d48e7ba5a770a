#include "trainer/data/prepared_meta.h"

#include <algorithm>
#include <cstdint>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"
#include "trainer/data/shard_header.h"

namespace stowage {
namespace {

constexpr int kMetaVersion = 1;

using Json = nlohmann::ordered_json;

Json ShardToJson(const char* file, const ShardInfo& shard) {
  Json json = {{"file", file},
               {"tokens", shard.tokens},
               {"bytes", shard.file_bytes},
               {"crc32c", absl::StrFormat("%08x", shard.crc32c)}};
  if (shard.text_bytes > 0) json["text_bytes"] = shard.text_bytes;
  return json;
}

ShardInfo ShardFromJson(const Json& json) {
  ShardInfo shard;
  shard.tokens = json.at("tokens").get<int64_t>();
  shard.file_bytes = json.at("bytes").get<int64_t>();
  shard.crc32c = static_cast<uint32_t>(std::stoul(json.at("crc32c").get<std::string>(), nullptr, 16));
  shard.text_bytes = json.value("text_bytes", int64_t{0});
  return shard;
}

}  // namespace

std::string MetaToJson(const PreparedData& data) {
  Json json = {{"format", "stowage data"},      {"version", kMetaVersion},
               {"source", data.source},         {"tokenizer", data.tokenizer},
               {"vocabulary", data.vocabulary}, {"documents", data.documents},
               {"split", data.split},           {"train", ShardToJson(kTrainShard, data.train)}};
  if (!data.tokenizer_fingerprint.empty()) json["tokenizer_fingerprint"] = data.tokenizer_fingerprint;
  if (data.validation.has_value()) json["validation"] = ShardToJson(kValidationShard, *data.validation);
  // Paths may be any bytes; JSON may not.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

absl::StatusOr<PreparedData> MetaFromJson(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    if (json.at("version").get<int>() > kMetaVersion) {
      return absl::FailedPreconditionError(
          absl::StrCat("is of version ", json.at("version").get<int>(), "; this program reads up to ", kMetaVersion));
    }
    PreparedData data;
    data.source = json.at("source").get<std::string>();
    data.tokenizer = json.at("tokenizer").get<std::string>();
    data.tokenizer_fingerprint = json.value("tokenizer_fingerprint", std::string());
    data.vocabulary = json.at("vocabulary").get<int64_t>();
    data.documents = json.at("documents").get<int64_t>();
    data.split = json.at("split").get<std::string>();
    data.train = ShardFromJson(json.at("train"));
    if (json.contains("validation")) data.validation = ShardFromJson(json.at("validation"));
    return data;
  } catch (const std::exception& e) {  // nlohmann's, and stoul's of a checksum that is none
    return absl::DataLossError(absl::StrCat("is damaged: ", e.what()));
  }
}

absl::Status CheckShard(const std::string& path, const ShardInfo& info) {
  auto file = InputFile::Open(path);
  if (!file.ok()) return absl::DataLossError(file.status().message());
  const int64_t bytes = file->bytes();
  ShardHeader header = {};
  STOWAGE_RETURN_IF_ERROR(file->Read(0, std::min<int64_t>(bytes, sizeof(header)), &header));
  if (bytes != info.file_bytes || header.payload_crc32c != info.crc32c) {
    return absl::DataLossError(absl::StrFormat(
        "%s: is not the shard that meta.json tells of: %d bytes with checksum %08x here, %d and %08x there", path,
        bytes, header.payload_crc32c, info.file_bytes, info.crc32c));
  }
  return absl::OkStatus();
}

}  // namespace stowage
