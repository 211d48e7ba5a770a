// What a data file is: text to be prepared, tokens to be read as they are, or samples that are neither.
//
//   text         one document a file, any bytes but NUL
//   jsonl        one document a line, in one field of a JSON object
//   stowage      our own token shard (shard_header.h)
//   llmc         llm.c's: 256 int32 (magic 20240520, version 1, count), then uint16; or magic 20240801, version 7,
//   uint32 nanogpt      raw uint16, no header idx          images and labels as MNIST has them (samples/idx_file.h) csv
//   a table of numbers with a header line (samples/csv_source.h) safetensors  tensors "inputs" and "targets"
//   (samples/safetensors_source.h)
#ifndef STOWAGE_TRAINER_DATA_DATA_FORMAT_H_
#define STOWAGE_TRAINER_DATA_DATA_FORMAT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace stowage {

enum class DataFormat { kText, kJsonl, kStowage, kLlmC, kNanoGpt, kIdx, kCsv, kSafetensors };

absl::string_view DataFormatName(DataFormat format);

constexpr bool IsText(DataFormat format) { return format == DataFormat::kText || format == DataFormat::kJsonl; }
constexpr bool IsTokens(DataFormat format) {
  return format == DataFormat::kStowage || format == DataFormat::kLlmC || format == DataFormat::kNanoGpt;
}
constexpr bool IsSamples(DataFormat format) { return !IsText(format) && !IsTokens(format); }

// The format that `declared` (data.format) gives to the file. "auto": by magic number, then by name (.jsonl, .ndjson,
// .csv, .safetensors, -ubyte and -ubyte.gz), else text. A .bin or .stow without a known magic number is refused, as
// raw tokens look like anything; so is a .gz of another name.
// InvalidArgument, or the error of opening the file.
absl::StatusOr<DataFormat> FindDataFormat(const std::string& path, absl::string_view declared);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_DATA_FORMAT_H_
