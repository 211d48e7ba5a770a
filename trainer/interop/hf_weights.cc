#include "trainer/interop/hf_weights.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "trainer/interop/hf_files.h"

namespace stowage {
namespace {

using Json = nlohmann::json;

// Tensor name -> file name, as the index says.
absl::StatusOr<std::map<std::string, std::string>> ReadIndex(const std::string& path) {
  STOWAGE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
    return absl::DataLossError(absl::StrCat(path, ": not JSON with an object \"weight_map\""));
  }
  std::map<std::string, std::string> files;
  for (const auto& [tensor, file] : json["weight_map"].items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    // A name, not a path: the index has no business outside its folder.
    if (name.empty() || name.find('/') != std::string::npos) {
      return absl::DataLossError(absl::StrCat(path, ": ", tensor, ": ", file.dump(), " is no file name"));
    }
    files[tensor] = name;
  }
  return files;
}

float FromBFloat16(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}

float FromFloat16(uint16_t bits) {
  _Float16 value;
  std::memcpy(&value, &bits, sizeof(value));
  return static_cast<float>(value);
}

}  // namespace

absl::Status HfWeights::AddFile(const std::string& name) {
  STOWAGE_ASSIGN_OR_RETURN(SafetensorsReader reader, SafetensorsReader::Open(absl::StrCat(folder_, "/", name)));
  for (const auto& [tensor, what] : reader.tensors()) {
    if (!tensors_.emplace(tensor, Tensor{what.dtype, what.shape, files_.size()}).second) {
      return absl::DataLossError(absl::StrCat(folder_, "/", name, ": tensor ", tensor, " is in another file too"));
    }
  }
  files_.push_back(std::move(reader));
  return absl::OkStatus();
}

absl::StatusOr<HfWeights> HfWeights::Open(const std::string& folder) {
  HfWeights weights;
  weights.folder_ = folder;
  const std::string index = absl::StrCat(folder, "/", kHfIndexFile);
  if (PathExists(absl::StrCat(folder, "/", kHfWeightsFile))) {
    STOWAGE_RETURN_IF_ERROR(weights.AddFile(kHfWeightsFile));
    return weights;
  }
  if (!PathExists(index)) {
    return absl::NotFoundError(absl::StrCat(folder, ": neither ", kHfWeightsFile, " nor ", kHfIndexFile,
                                            "; weights in another form (pytorch_model.bin) can be saved again as "
                                            "safetensors by transformers' save_pretrained"));
  }
  STOWAGE_ASSIGN_OR_RETURN(const auto files, ReadIndex(index));
  std::set<std::string> opened;
  for (const auto& [tensor, file] : files) {
    if (opened.insert(file).second) STOWAGE_RETURN_IF_ERROR(Annotate(weights.AddFile(file), index));
  }
  for (const auto& [tensor, file] : files) {
    if (weights.tensors_.count(tensor) == 0) {
      return absl::DataLossError(absl::StrCat(index, ": ", tensor, " should be in ", file, ", but is not"));
    }
  }
  return weights;
}

absl::Status HfWeights::ReadFloats(const std::string& name, int64_t first, int64_t numel, float* to) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) return absl::NotFoundError(absl::StrCat(folder_, ": no tensor ", name));
  const SafetensorsReader& file = files_[found->second.file];
  const DType dtype = found->second.dtype;
  if (dtype == DType::kFloat32) return file.Read(name, first, numel, to);
  if (!CanRead(dtype)) {
    return absl::InvalidArgumentError(
        absl::StrCat(folder_, ": tensor ", name, " is ", DTypeName(dtype), "; F32, BF16 and F16 are read"));
  }
  constexpr int64_t kAtOnce = int64_t{1} << 16;
  std::vector<uint16_t> half(std::min(numel, kAtOnce));
  for (int64_t done = 0; done < numel; done += kAtOnce) {
    const int64_t count = std::min(kAtOnce, numel - done);
    STOWAGE_RETURN_IF_ERROR(file.Read(name, first + done, count, half.data()));
    for (int64_t i = 0; i < count; ++i) {
      to[done + i] = dtype == DType::kBFloat16 ? FromBFloat16(half[i]) : FromFloat16(half[i]);
    }
  }
  return absl::OkStatus();
}

}  // namespace stowage
