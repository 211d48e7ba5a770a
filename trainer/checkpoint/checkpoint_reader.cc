#include "trainer/checkpoint/checkpoint_reader.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/crc32c.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "trainer/checkpoint/tensor_shape.h"

namespace stowage {
namespace {

std::string Describe(const CheckpointReader::Tensor& tensor) {
  return absl::StrCat(ShapeText(tensor.shape), " of ", DTypeName(tensor.dtype));
}

absl::Status VerifyFile(const std::string& path, const Manifest::File& file) {
  constexpr int64_t kChunkBytes = int64_t{1} << 20;
  STOWAGE_ASSIGN_OR_RETURN(const InputFile input, InputFile::Open(path));
  std::string chunk(static_cast<size_t>(std::min(kChunkBytes, file.bytes)), '\0');
  uint32_t crc = 0;
  for (int64_t at = 0; at < file.bytes; at += kChunkBytes) {
    const int64_t bytes = std::min(kChunkBytes, file.bytes - at);
    STOWAGE_RETURN_IF_ERROR(input.Read(at, bytes, chunk.data()));
    crc = ExtendCrc32c(crc, chunk.data(), bytes);
  }
  if (crc != file.crc32c) {
    return absl::DataLossError(
        absl::StrFormat("%s: altered: its CRC-32C is %08x, it was written with %08x", path, crc, file.crc32c));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CheckpointReader> CheckpointReader::Open(const std::string& path) {
  const std::string manifest_path = absl::StrCat(path, "/manifest.json");
  STOWAGE_ASSIGN_OR_RETURN(const std::string text, ReadFile(manifest_path));
  auto manifest = ManifestFromJson(text);
  if (!manifest.ok()) return Annotate(manifest.status(), manifest_path);
  const absl::Status consistent = CheckManifest(*manifest);
  if (!consistent.ok()) return absl::DataLossError(absl::StrCat(manifest_path, ": ", consistent.message()));
  for (const auto& [name, file] : manifest->files) {
    const std::string file_path = absl::StrCat(path, "/", name);
    const auto bytes = FileBytes(file_path);
    if (!bytes.ok()) return absl::DataLossError(bytes.status().message());
    if (*bytes != file.bytes) {
      return absl::DataLossError(absl::StrCat(file_path, ": has ", *bytes, " bytes, was written with ", file.bytes));
    }
  }

  CheckpointReader reader;
  reader.path_ = path;
  reader.info_ = std::move(manifest->info);
  reader.world_size_ = manifest->world_size;
  reader.files_ = std::move(manifest->files);
  for (auto& [name, tensor] : manifest->tensors) {
    reader.tensors_[name] = {tensor.dtype, std::move(tensor.shape), tensor.numel};
    reader.ranges_[name] = std::move(tensor.ranges);
  }
  const auto read_text = [&](const char* name, std::string& to) -> absl::Status {
    if (reader.files_.count(name) == 0) return absl::OkStatus();
    STOWAGE_ASSIGN_OR_RETURN(to, ReadFile(absl::StrCat(path, "/", name)));
    return absl::OkStatus();
  };
  STOWAGE_RETURN_IF_ERROR(read_text("config.yaml", reader.info_.config_yaml));
  STOWAGE_RETURN_IF_ERROR(read_text("plan.json", reader.info_.plan_json));
  STOWAGE_RETURN_IF_ERROR(read_text("tokenizer.model", reader.info_.tokenizer_model));
  return reader;
}

absl::Status CheckpointReader::Verify() const {
  for (const auto& [name, file] : files_) {
    STOWAGE_RETURN_IF_ERROR(VerifyFile(absl::StrCat(path_, "/", name), file));
  }
  return absl::OkStatus();
}

absl::Status CheckpointReader::Read(const std::string& name, int64_t first, int64_t numel, void* to) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) return absl::NotFoundError(absl::StrCat(path_, ": no tensor ", name));
  const Tensor& tensor = found->second;
  if (first < 0 || numel < 0 || numel > tensor.numel || first > tensor.numel - numel) {
    return absl::OutOfRangeError(
        absl::StrCat(path_, ": tensor ", name, " has ", tensor.numel, " elements; wanted ", numel, " from ", first));
  }
  const int64_t element_bytes = DTypeBytes(tensor.dtype);
  for (const Manifest::Range& range : ranges_.at(name)) {
    const int64_t from = std::max(first, range.first);
    const int64_t until = std::min(first + numel, range.first + range.numel);
    if (from >= until) continue;
    STOWAGE_ASSIGN_OR_RETURN(const InputFile file, InputFile::Open(absl::StrCat(path_, "/", range.file)));
    STOWAGE_RETURN_IF_ERROR(file.Read(range.file_offset + (from - range.first) * element_bytes,
                                      (until - from) * element_bytes,
                                      static_cast<char*>(to) + (from - first) * element_bytes));
  }
  return absl::OkStatus();
}

absl::Status CheckSameTensors(const CheckpointReader& reader,
                              const std::map<std::string, CheckpointReader::Tensor>& expected) {
  constexpr size_t kMostListed = 5;
  std::vector<std::string> differences;
  for (const auto& [name, tensor] : expected) {
    const auto found = reader.tensors().find(name);
    if (found == reader.tensors().end()) {
      differences.push_back(absl::StrCat("it lacks ", name, " ", Describe(tensor)));
    } else if (found->second.dtype != tensor.dtype || found->second.shape != tensor.shape) {
      differences.push_back(absl::StrCat(name, " is ", Describe(found->second), " in it, ", Describe(tensor), " here"));
    }
  }
  for (const auto& [name, tensor] : reader.tensors()) {
    if (expected.count(name) == 0) {
      differences.push_back(absl::StrCat("it has ", name, " ", Describe(tensor), ", which is not here"));
    }
  }
  if (differences.empty()) return absl::OkStatus();
  const size_t more = differences.size() > kMostListed ? differences.size() - kMostListed : 0;
  differences.resize(differences.size() - more);
  return absl::FailedPreconditionError(absl::StrCat(reader.path(),
                                                    ": of another model: ", absl::StrJoin(differences, "; "),
                                                    more > 0 ? absl::StrCat("; and ", more, " more") : ""));
}

}  // namespace stowage
