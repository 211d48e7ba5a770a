#include "trainer/data/samples/safetensors_source.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/status_macros.h"

namespace stowage {
namespace {

constexpr char kInputs[] = "inputs";
constexpr char kTargets[] = "targets";
constexpr int64_t kPieceBytes = int64_t{1} << 20;

bool IsFloat(DType dtype) { return dtype == DType::kFloat32 || dtype == DType::kFloat64; }
bool IsWhole(DType dtype) { return dtype == DType::kInt64 || dtype == DType::kInt32 || dtype == DType::kUInt8; }

std::string ShapeOf(const SafetensorsTensor& tensor) {
  return absl::StrCat("[", absl::StrJoin(tensor.shape, ", "), "] ", std::string(DTypeName(tensor.dtype)));
}

template <typename From, typename To>
absl::Status ReadAs(const SafetensorsReader& reader, const char* tensor, int64_t first, int64_t count, To* to) {
  std::vector<From> raw(std::min<int64_t>(count, kPieceBytes / static_cast<int64_t>(sizeof(From))));
  for (int64_t done = 0; done < count; done += static_cast<int64_t>(raw.size())) {
    const int64_t n = std::min<int64_t>(count - done, static_cast<int64_t>(raw.size()));
    STOWAGE_RETURN_IF_ERROR(reader.Read(tensor, first + done, n, raw.data()));
    std::transform(raw.begin(), raw.begin() + n, to + done, [](From value) { return static_cast<To>(value); });
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<SafetensorsSource>> SafetensorsSource::Open(const std::string& path,
                                                                           int64_t known_classes) {
  STOWAGE_ASSIGN_OR_RETURN(SafetensorsReader reader, SafetensorsReader::Open(path));
  std::unique_ptr<SafetensorsSource> source(new SafetensorsSource(path, std::move(reader)));
  STOWAGE_RETURN_IF_ERROR(source->CheckTensors());
  if (source->shape_.classes) STOWAGE_RETURN_IF_ERROR(source->FindClasses(known_classes));
  STOWAGE_RETURN_IF_ERROR(source->Fingerprint());
  return source;
}

absl::Status SafetensorsSource::CheckTensors() {
  const auto& tensors = reader_.tensors();
  for (const char* name : {kInputs, kTargets}) {
    if (tensors.count(name) > 0) continue;
    std::vector<std::string> there;
    for (const auto& [other, tensor] : tensors) there.push_back(other);
    if (there.size() > 8) {
      there.resize(8);
      there.push_back("...");
    }
    return absl::InvalidArgumentError(absl::StrCat(path_, ": has no tensor '", name,
                                                   "'; data of this format holds inputs and targets. It has: ",
                                                   there.empty() ? "none" : absl::StrJoin(there, ", ")));
  }
  const SafetensorsTensor& inputs = tensors.at(kInputs);
  const SafetensorsTensor& targets = tensors.at(kTargets);
  if (!IsFloat(inputs.dtype) || inputs.shape.size() < 2) {
    return absl::InvalidArgumentError(absl::StrCat(path_, ": inputs is ", ShapeOf(inputs),
                                                   "; it must be F32 or F64 with samples first, [n, features] or "
                                                   "[n, time, features], say"));
  }
  const size_t most_dims = IsWhole(targets.dtype) ? 1 : 2;
  if ((!IsFloat(targets.dtype) && !IsWhole(targets.dtype)) || targets.shape.empty() ||
      targets.shape.size() > most_dims) {
    return absl::InvalidArgumentError(absl::StrCat(path_, ": targets is ", ShapeOf(targets),
                                                   "; it must be classes, [n] I64, I32 or U8, or numbers, [n] or "
                                                   "[n, outputs] F32 or F64"));
  }
  if (inputs.shape[0] != targets.shape[0]) {
    return absl::InvalidArgumentError(absl::StrCat(path_, ": inputs has ", inputs.shape[0], " samples, targets ",
                                                   targets.shape[0], "; they do not belong together"));
  }
  if (inputs.bytes == 0 || targets.bytes == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": inputs ", ShapeOf(inputs), " and targets ", ShapeOf(targets), " hold nothing"));
  }
  size_ = inputs.shape[0];
  input_dtype_ = inputs.dtype;
  target_dtype_ = targets.dtype;
  shape_.input.assign(inputs.shape.begin() + 1, inputs.shape.end());
  input_numel_ = inputs.bytes / DTypeBytes(inputs.dtype) / size_;
  shape_.classes = IsWhole(targets.dtype);
  if (!shape_.classes) shape_.outputs = targets.shape.size() == 1 ? 1 : targets.shape[1];
  return absl::OkStatus();
}

absl::Status SafetensorsSource::FindClasses(int64_t known_classes) {
  const int64_t bound = known_classes > 0 ? known_classes : kMostClasses;
  std::vector<int64_t> classes(std::min<int64_t>(size_, kPieceBytes / static_cast<int64_t>(sizeof(int64_t))));
  int64_t largest = 0;
  for (int64_t first = 0; first < size_; first += static_cast<int64_t>(classes.size())) {
    const int64_t n = std::min<int64_t>(size_ - first, static_cast<int64_t>(classes.size()));
    STOWAGE_RETURN_IF_ERROR(ReadClasses(first, n, classes.data()));
    for (int64_t i = 0; i < n; ++i) {
      if (classes[i] < 0 || classes[i] >= bound) {
        return absl::InvalidArgumentError(
            absl::StrCat(path_, ": targets: class ", classes[i], " at position ", first + i, " is out of range: ",
                         known_classes > 0 ? "the training set has the classes" : "classes are", " 0 to ", bound - 1));
      }
      largest = std::max(largest, classes[i]);
    }
  }
  shape_.outputs = known_classes > 0 ? known_classes : largest + 1;
  return absl::OkStatus();
}

absl::Status SafetensorsSource::Fingerprint() {
  fingerprint_ = "safetensors";
  std::vector<char> piece(kPieceBytes);
  for (const char* name : {kInputs, kTargets}) {
    const SafetensorsTensor& tensor = reader_.tensors().at(name);
    const int64_t element_bytes = DTypeBytes(tensor.dtype);
    const int64_t numel = tensor.bytes / element_bytes, piece_numel = kPieceBytes / element_bytes;
    const bool whole = tensor.bytes <= kCheckedBytes;
    uint32_t crc = 0;
    for (int64_t first = 0; first < numel; first += piece_numel) {
      if (!whole && first > 0 && first + piece_numel < numel) {
        first = numel - 2 * piece_numel;  // go on with the last MiB
        continue;
      }
      const int64_t n = std::min(piece_numel, numel - first);
      STOWAGE_RETURN_IF_ERROR(reader_.Read(name, first, n, piece.data()));
      crc = ExtendCrc32c(crc, piece.data(), n * element_bytes);
    }
    absl::StrAppend(&fingerprint_, ":", std::string(DTypeName(tensor.dtype)), absl::StrJoin(tensor.shape, "x"), ":",
                    absl::Hex(crc, absl::kZeroPad8));
  }
  return absl::OkStatus();
}

absl::Status SafetensorsSource::ReadNumbers(const char* tensor, int64_t first, int64_t count, float* to) const {
  const DType dtype = tensor == kInputs ? input_dtype_ : target_dtype_;
  if (dtype == DType::kFloat32) {
    STOWAGE_RETURN_IF_ERROR(reader_.Read(tensor, first, count, to));
  } else {
    STOWAGE_RETURN_IF_ERROR(ReadAs<double>(reader_, tensor, first, count, to));
  }
  const float* bad = std::find_if(to, to + count, [](float value) { return !std::isfinite(value); });
  if (bad == to + count) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(path_, ": ", tensor, ": element ", first + (bad - to), " is ", *bad,
                                                 ", which is not a finite number (float32)"));
}

absl::Status SafetensorsSource::ReadClasses(int64_t first, int64_t count, int64_t* to) const {
  if (target_dtype_ == DType::kInt64) return reader_.Read(kTargets, first, count, to);
  if (target_dtype_ == DType::kInt32) return ReadAs<int32_t>(reader_, kTargets, first, count, to);
  return ReadAs<uint8_t>(reader_, kTargets, first, count, to);
}

absl::Status SafetensorsSource::Read(int64_t index, float* input, int64_t* target_class, float* target_numbers) const {
  STOWAGE_CHECK(index >= 0 && index < size_) << index << " of " << size_;
  STOWAGE_RETURN_IF_ERROR(ReadNumbers(kInputs, index * input_numel_, input_numel_, input));
  if (shape_.classes) return ReadClasses(index, 1, target_class);
  return ReadNumbers(kTargets, index * shape_.outputs, shape_.outputs, target_numbers);
}

}  // namespace stowage
