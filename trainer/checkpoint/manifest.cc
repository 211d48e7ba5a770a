#include "trainer/checkpoint/manifest.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/crc32c.h"
#include "base/status_macros.h"
#include "trainer/checkpoint/tensor_shape.h"

namespace stowage {
namespace {

using Json = nlohmann::json;  // sorts its keys, as the manifest's own checksum wants them

constexpr char kFormat[] = "stowage-checkpoint";
constexpr char kOwnChecksum[] = "manifest_crc32c";

std::string CrcText(uint32_t crc) { return absl::StrFormat("%08x", crc); }

Json TensorToJson(const Manifest::Tensor& tensor) {
  Json ranges = Json::array();
  for (const Manifest::Range& range : tensor.ranges) {
    ranges.push_back(
        {{"file", range.file}, {"offset", range.file_offset}, {"first", range.first}, {"numel", range.numel}});
  }
  return {{"dtype", std::string(DTypeName(tensor.dtype))}, {"shape", tensor.shape}, {"ranges", std::move(ranges)}};
}

// Reading throws Json::exception for what is missing or of another type; ManifestFromJson catches it.
int64_t Count(const Json& object, const char* key) {
  const int64_t value = object.at(key).get<int64_t>();
  if (!object.at(key).is_number_integer() || value < 0) {
    throw Json::other_error::create(501, absl::StrCat(key, " is not a count"), &object);
  }
  return value;
}

absl::StatusOr<Manifest::Tensor> TensorFromJson(const Json& json) {
  Manifest::Tensor tensor;
  STOWAGE_ASSIGN_OR_RETURN(tensor.dtype, DTypeOfName(json.at("dtype").get_ref<const std::string&>()));
  tensor.shape = json.at("shape").get<std::vector<int64_t>>();
  STOWAGE_ASSIGN_OR_RETURN(tensor.numel, NumelOfShape(tensor.shape, tensor.dtype));
  for (const Json& range : json.at("ranges")) {
    tensor.ranges.push_back(
        {range.at("file").get<std::string>(), Count(range, "offset"), Count(range, "first"), Count(range, "numel")});
  }
  return tensor;
}

absl::StatusOr<Manifest> FromJson(const Json& json) {
  Manifest manifest;
  manifest.info.step = Count(json, "step");
  manifest.world_size = static_cast<int>(Count(json, "world_size"));
  manifest.info.must_match = json.at("must_match").get<std::map<std::string, std::string>>();
  manifest.info.noted = json.at("noted").get<std::map<std::string, std::string>>();
  if (json.contains("state")) manifest.info.state = json.at("state").get<std::map<std::string, std::string>>();
  for (const auto& [name, file] : json.at("files").items()) {
    // Files lie beside the manifest: a name that leads elsewhere was not written by us.
    if (name.empty() || name.find('/') != std::string::npos || name == "." || name == "..") {
      return absl::InvalidArgumentError(absl::StrCat("\"", name, "\" is not the name of a file beside the manifest"));
    }
    Manifest::File& to = manifest.files[name];
    to.bytes = Count(file, "bytes");
    if (!absl::SimpleHexAtoi(file.at("crc32c").get<std::string>(), &to.crc32c)) {
      return absl::InvalidArgumentError(absl::StrCat("file ", name, ": its crc32c is not hexadecimal"));
    }
  }
  for (const auto& [name, tensor] : json.at("tensors").items()) {
    auto read = TensorFromJson(tensor);
    if (!read.ok()) return Annotate(read.status(), absl::StrCat("tensor ", name));
    manifest.tensors.emplace(name, *std::move(read));
  }
  return manifest;
}

absl::Status CheckTensor(const Manifest& manifest, const Manifest::Tensor& tensor) {
  int64_t covered = 0;
  for (const Manifest::Range& range : tensor.ranges) {
    const auto file = manifest.files.find(range.file);
    if (file == manifest.files.end()) return absl::InvalidArgumentError(absl::StrCat("no file ", range.file));
    if (range.first != covered) {
      return absl::InvalidArgumentError(absl::StrCat(
          range.first > covered ? "nobody wrote elements [" : "written twice: elements [",
          std::min(range.first, covered), ", ", std::max(range.first, covered), ") of ", ShapeText(tensor.shape)));
    }
    if (range.numel > tensor.numel - covered) {
      return absl::InvalidArgumentError(absl::StrCat("a range ends at element ", range.first, " + ", range.numel,
                                                     ", but ", ShapeText(tensor.shape), " has ", tensor.numel));
    }
    covered += range.numel;
    const int64_t bytes = range.numel * DTypeBytes(tensor.dtype);
    if (bytes > file->second.bytes || range.file_offset > file->second.bytes - bytes) {
      return absl::InvalidArgumentError(absl::StrCat(bytes, " bytes at offset ", range.file_offset, " of ", range.file,
                                                     ", which has ", file->second.bytes));
    }
  }
  if (covered != tensor.numel) {
    return absl::InvalidArgumentError(
        absl::StrCat("nobody wrote elements [", covered, ", ", tensor.numel, ") of ", ShapeText(tensor.shape)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ManifestToJson(const Manifest& manifest) {
  Json json = {{"format", kFormat},
               {"format_version", kCheckpointFormatVersion},
               {"step", manifest.info.step},
               {"world_size", manifest.world_size},
               {"must_match", manifest.info.must_match},
               {"noted", manifest.info.noted},
               {"state", manifest.info.state}};
  json["files"] = Json::object();
  for (const auto& [name, file] : manifest.files) {
    json["files"][name] = {{"bytes", file.bytes}, {"crc32c", CrcText(file.crc32c)}};
  }
  json["tensors"] = Json::object();
  for (const auto& [name, tensor] : manifest.tensors) json["tensors"][name] = TensorToJson(tensor);
  try {
    json[kOwnChecksum] = CrcText(Crc32c(json.dump(1)));
    return json.dump(1) + "\n";
  } catch (const Json::exception& e) {
    return absl::InvalidArgumentError(absl::StrCat("a name or value of the manifest is not UTF-8: ", e.what()));
  }
}

absl::StatusOr<Manifest> ManifestFromJson(const std::string& text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::DataLossError("cut short or not JSON");
  try {
    if (json.at("format").get<std::string>() != kFormat) {
      return absl::DataLossError(absl::StrCat("not a manifest: its format is ", json.at("format").dump()));
    }
    const int64_t version = json.at("format_version").get<int64_t>();
    if (version != kCheckpointFormatVersion) {
      return absl::FailedPreconditionError(
          absl::StrCat("has format version ", version, ", this program reads version ", kCheckpointFormatVersion,
                       version > kCheckpointFormatVersion ? ": use the newer program that wrote it" : ""));
    }
    const std::string claimed = json.at(kOwnChecksum).get<std::string>();
    json.erase(kOwnChecksum);
    const std::string found = CrcText(Crc32c(json.dump(1)));
    if (claimed != found) {
      return absl::DataLossError(absl::StrCat("altered: its checksum is ", found, ", it was written with ", claimed));
    }
    auto manifest = FromJson(json);
    if (!manifest.ok()) return absl::DataLossError(manifest.status().message());
    return manifest;
  } catch (const Json::exception& e) {
    return absl::DataLossError(e.what());
  }
}

absl::Status CheckManifest(Manifest& manifest) {
  for (auto& [name, tensor] : manifest.tensors) {
    std::sort(tensor.ranges.begin(), tensor.ranges.end(), [](const Manifest::Range& a, const Manifest::Range& b) {
      return std::make_pair(a.first, a.numel) < std::make_pair(b.first, b.numel);
    });
    STOWAGE_RETURN_IF_ERROR(Annotate(CheckTensor(manifest, tensor), absl::StrCat("tensor ", name)));
  }
  return absl::OkStatus();
}

absl::Status AddPart(const Manifest& part, Manifest& whole) {
  for (const auto& [name, file] : part.files) {
    if (!whole.files.emplace(name, file).second) {
      return absl::InvalidArgumentError(absl::StrCat("two ranks wrote the file ", name));
    }
  }
  for (const auto& [name, tensor] : part.tensors) {
    const auto [at, fresh] = whole.tensors.emplace(name, tensor);
    if (fresh) continue;
    Manifest::Tensor& have = at->second;
    if (have.dtype != tensor.dtype || have.shape != tensor.shape) {
      return absl::InvalidArgumentError(absl::StrCat("tensor ", name, ": one rank has ", ShapeText(have.shape), " of ",
                                                     DTypeName(have.dtype), ", another ", ShapeText(tensor.shape),
                                                     " of ", DTypeName(tensor.dtype)));
    }
    have.ranges.insert(have.ranges.end(), tensor.ranges.begin(), tensor.ranges.end());
  }
  return absl::OkStatus();
}

}  // namespace stowage
