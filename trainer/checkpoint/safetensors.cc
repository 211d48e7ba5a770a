#include "trainer/checkpoint/safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/status_macros.h"
#include "trainer/checkpoint/tensor_shape.h"

namespace stowage {
namespace {

using Json = nlohmann::ordered_json;

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors is little-endian; swap bytes for other machines");

constexpr int64_t kLengthBytes = 8;
constexpr int64_t kAlignment = 64;               // a cache line, and what AVX-512 loads want
constexpr int64_t kMostHeaderBytes = 100000000;  // the format's own limit
// Checksum and write go over the data together in pieces that stay in the cache between the two.
constexpr int64_t kChunkBytes = int64_t{1} << 18;

constexpr char kMetadataKey[] = "__metadata__";

// The largest power of two, up to kAlignment, that divides `bytes`.
int64_t AlignmentOf(int64_t bytes) { return bytes == 0 ? kAlignment : std::min(bytes & -bytes, kAlignment); }

absl::Status CheckNames(const std::vector<SafetensorsTensor>& tensors) {
  std::set<std::string> seen;
  for (const SafetensorsTensor& tensor : tensors) {
    if (tensor.name.empty() || tensor.name == kMetadataKey) {
      return absl::InvalidArgumentError(absl::StrCat("a tensor cannot be named \"", tensor.name, "\""));
    }
    if (!seen.insert(tensor.name).second) {
      return absl::InvalidArgumentError(absl::StrCat("tensor ", tensor.name, " is there twice"));
    }
  }
  return absl::OkStatus();
}

// Checks one entry of a header and turns it into a tensor; offsets count from the start of the data.
absl::StatusOr<SafetensorsTensor> ParseEntry(const std::string& name, const Json& entry) {
  const auto bad = [&](absl::string_view what) {
    return absl::DataLossError(absl::StrCat("tensor ", name, ": ", what));
  };
  if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") || !entry.contains("data_offsets")) {
    return bad("not an object with dtype, shape and data_offsets");
  }
  SafetensorsTensor tensor;
  tensor.name = name;
  if (!entry["dtype"].is_string()) return bad("dtype is not text");
  const auto dtype = DTypeOfName(entry["dtype"].get_ref<const std::string&>());
  if (!dtype.ok()) return bad(dtype.status().message());
  tensor.dtype = *dtype;
  const auto is_count = [](const Json& number) {
    return number.is_number_unsigned() && number.get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX);
  };
  const Json& shape = entry["shape"];
  if (!shape.is_array() || !std::all_of(shape.begin(), shape.end(), is_count)) {
    return bad("shape is not a list of counts");
  }
  for (const Json& dim : shape) tensor.shape.push_back(dim.get<int64_t>());
  const Json& offsets = entry["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2 || !is_count(offsets[0]) || !is_count(offsets[1])) {
    return bad("data_offsets are not two counts");
  }
  const auto numel = NumelOfShape(tensor.shape, tensor.dtype);
  if (!numel.ok()) return bad(numel.status().message());
  tensor.file_offset = offsets[0].get<int64_t>();
  tensor.bytes = *numel * DTypeBytes(tensor.dtype);
  const int64_t end = offsets[1].get<int64_t>();
  if (end < tensor.file_offset || end - tensor.file_offset != tensor.bytes) {
    return bad(absl::StrCat("data_offsets [", tensor.file_offset, ", ", end, "], but ", ShapeText(tensor.shape), " of ",
                            DTypeName(tensor.dtype), " takes ", tensor.bytes, " bytes"));
  }
  return tensor;
}

// Tensors must follow each other from 0 to `data_bytes`.
absl::Status CheckNoHoles(const std::map<std::string, SafetensorsTensor>& tensors, int64_t data_bytes) {
  std::vector<const SafetensorsTensor*> by_offset;
  for (const auto& [name, tensor] : tensors) by_offset.push_back(&tensor);
  std::sort(by_offset.begin(), by_offset.end(), [](const SafetensorsTensor* a, const SafetensorsTensor* b) {
    return std::make_pair(a->file_offset, a->bytes) < std::make_pair(b->file_offset, b->bytes);
  });
  int64_t end = 0;
  for (const SafetensorsTensor* tensor : by_offset) {
    if (tensor->file_offset != end) {
      return absl::DataLossError(absl::StrCat("tensor ", tensor->name, " starts at data offset ", tensor->file_offset,
                                              ", but the one before ends at ", end));
    }
    if (tensor->bytes > data_bytes - end) {
      return absl::DataLossError(absl::StrCat("tensor ", tensor->name, " takes ", tensor->bytes,
                                              " bytes from data offset ", end, " on, but the file has ", data_bytes,
                                              " bytes of data"));
    }
    end += tensor->bytes;
  }
  if (end != data_bytes) {
    return absl::DataLossError(absl::StrCat("tensors take ", end, " bytes, but the file has ", data_bytes));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SafetensorsWriter> SafetensorsWriter::Create(const std::string& path,
                                                            std::vector<SafetensorsTensor> tensors,
                                                            const std::map<std::string, std::string>& metadata) {
  STOWAGE_RETURN_IF_ERROR(Annotate(CheckNames(tensors), path));
  for (SafetensorsTensor& tensor : tensors) {
    const auto numel = NumelOfShape(tensor.shape, tensor.dtype);
    if (!numel.ok()) return Annotate(numel.status(), absl::StrCat(path, ": tensor ", tensor.name));
    tensor.bytes = *numel * DTypeBytes(tensor.dtype);
  }
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return AlignmentOf(tensors[a].bytes) > AlignmentOf(tensors[b].bytes); });

  Json header = Json::object();
  if (!metadata.empty()) header[kMetadataKey] = metadata;
  int64_t data_bytes = 0;
  for (size_t i : order) {
    SafetensorsTensor& tensor = tensors[i];
    tensor.file_offset = data_bytes;
    if (__builtin_add_overflow(data_bytes, tensor.bytes, &data_bytes)) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": tensors take 2^63 bytes or more"));
    }
    header[tensor.name] = {
        {"dtype", std::string(DTypeName(tensor.dtype))},
        {"shape", tensor.shape},
        {"data_offsets", {tensor.file_offset, data_bytes}},
    };
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const Json::exception& e) {  // only for text that is not UTF-8
    return absl::InvalidArgumentError(absl::StrCat(path, ": a tensor's name or metadata: ", e.what()));
  }
  const int64_t used = kLengthBytes + static_cast<int64_t>(text.size());
  text.append(static_cast<size_t>((kAlignment - used % kAlignment) % kAlignment), ' ');
  const uint64_t length = text.size();
  if (length > kMostHeaderBytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", tensors.size(), " tensors need a header of ", length,
                                                   " bytes; the format takes ", kMostHeaderBytes,
                                                   ": write them to several files"));
  }
  std::string prefix(kLengthBytes, '\0');
  std::memcpy(prefix.data(), &length, kLengthBytes);

  STOWAGE_ASSIGN_OR_RETURN(OutputFile file, OutputFile::Create(path));
  SafetensorsWriter writer(std::move(file));
  const int64_t data_start = kLengthBytes + static_cast<int64_t>(length);
  for (SafetensorsTensor& tensor : tensors) tensor.file_offset += data_start;
  writer.tensors_ = std::move(tensors);
  writer.order_ = std::move(order);
  writer.end_ = data_start + data_bytes;
  STOWAGE_RETURN_IF_ERROR(writer.Append(prefix.data(), kLengthBytes));
  STOWAGE_RETURN_IF_ERROR(writer.Append(text.data(), static_cast<int64_t>(length)));
  return writer;
}

absl::Status SafetensorsWriter::Append(const void* data, int64_t bytes) {
  STOWAGE_CHECK(bytes <= end_ - file_.bytes()) << bytes << " bytes more than " << file_.path() << " was planned for";
  const char* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const int64_t chunk = std::min(bytes, kChunkBytes);
    STOWAGE_RETURN_IF_ERROR(file_.Append(at, chunk));
    crc32c_ = ExtendCrc32c(crc32c_, at, chunk);
    at += chunk;
    bytes -= chunk;
  }
  return absl::OkStatus();
}

absl::Status SafetensorsWriter::Finish() {
  STOWAGE_CHECK(file_.bytes() == end_) << file_.path() << " has " << file_.bytes() << " bytes of " << end_;
  STOWAGE_RETURN_IF_ERROR(file_.Sync());
  return file_.Close();
}

absl::StatusOr<SafetensorsReader> SafetensorsReader::Open(const std::string& path) {
  STOWAGE_ASSIGN_OR_RETURN(InputFile file, InputFile::Open(path));
  const auto bad = [&](absl::string_view what) {
    return absl::DataLossError(absl::StrCat(path, ": not a whole safetensors file: ", what));
  };
  const int64_t file_bytes = file.bytes();
  if (file_bytes < kLengthBytes) return bad(absl::StrCat("it has ", file_bytes, " bytes; the header's length takes 8"));
  uint64_t length = 0;
  STOWAGE_RETURN_IF_ERROR(file.Read(0, kLengthBytes, &length));
  if (length > kMostHeaderBytes || static_cast<int64_t>(length) > file_bytes - kLengthBytes) {
    return bad(absl::StrCat("its header claims ", length, " bytes; the file has ", file_bytes, ", the format allows ",
                            kMostHeaderBytes));
  }
  std::string text(length, '\0');
  STOWAGE_RETURN_IF_ERROR(file.Read(kLengthBytes, static_cast<int64_t>(length), text.data()));
  const Json header = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!header.is_object()) return bad("its header is not a JSON object");

  SafetensorsReader reader(std::move(file));
  const int64_t data_start = kLengthBytes + static_cast<int64_t>(length);
  for (const auto& [name, entry] : header.items()) {
    if (name == kMetadataKey) {
      if (!entry.is_object()) return bad("__metadata__ is not an object");
      for (const auto& [key, value] : entry.items()) {
        if (!value.is_string()) return bad(absl::StrCat("__metadata__: ", key, " is not text"));
        reader.metadata_[key] = value.get<std::string>();
      }
      continue;
    }
    const auto tensor = ParseEntry(name, entry);
    if (!tensor.ok()) return bad(tensor.status().message());
    if (!reader.tensors_.emplace(name, *tensor).second) return bad(absl::StrCat("tensor ", name, " is there twice"));
  }
  const absl::Status holes = CheckNoHoles(reader.tensors_, file_bytes - data_start);
  if (!holes.ok()) return bad(holes.message());
  for (auto& [name, tensor] : reader.tensors_) tensor.file_offset += data_start;
  return reader;
}

absl::Status SafetensorsReader::Read(const std::string& name, int64_t first, int64_t numel, void* to) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) return absl::NotFoundError(absl::StrCat(file_.path(), ": no tensor ", name));
  const SafetensorsTensor& tensor = found->second;
  const int64_t element_bytes = DTypeBytes(tensor.dtype);
  const int64_t has = tensor.bytes / element_bytes;
  if (first < 0 || numel < 0 || numel > has || first > has - numel) {
    return absl::OutOfRangeError(
        absl::StrCat(file_.path(), ": tensor ", name, " has ", has, " elements; wanted ", numel, " from ", first));
  }
  return file_.Read(tensor.file_offset + first * element_bytes, numel * element_bytes, to);
}

}  // namespace stowage
