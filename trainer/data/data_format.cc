#include "trainer/data/data_format.h"

#include <algorithm>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "trainer/data/shard_header.h"

namespace stowage {

absl::string_view DataFormatName(DataFormat format) {
  switch (format) {
    case DataFormat::kText:
      return "text";
    case DataFormat::kJsonl:
      return "jsonl";
    case DataFormat::kStowage:
      return "stowage";
    case DataFormat::kLlmC:
      return "llmc";
    case DataFormat::kNanoGpt:
      return "nanogpt";
    case DataFormat::kIdx:
      return "idx";
    case DataFormat::kCsv:
      return "csv";
    case DataFormat::kSafetensors:
      return "safetensors";
  }
  return "?";
}

absl::StatusOr<DataFormat> FindDataFormat(const std::string& path, absl::string_view declared) {
  for (DataFormat format : {DataFormat::kText, DataFormat::kJsonl, DataFormat::kStowage, DataFormat::kLlmC,
                            DataFormat::kNanoGpt, DataFormat::kIdx, DataFormat::kCsv, DataFormat::kSafetensors}) {
    if (declared == DataFormatName(format)) return format;
  }
  if (declared != "auto") {
    return absl::InvalidArgumentError(absl::StrCat("data.format: '", declared,
                                                   "' is not a format; there are: auto, text, jsonl, stowage, llmc, "
                                                   "nanogpt, idx, csv, safetensors"));
  }
  STOWAGE_ASSIGN_OR_RETURN(const InputFile file, InputFile::Open(path));
  char begin[sizeof(kShardMagic)] = {};
  const int64_t got = std::min<int64_t>(file.bytes(), sizeof(begin));
  STOWAGE_RETURN_IF_ERROR(file.Read(0, got, begin));
  if (got == sizeof(begin) && std::memcmp(begin, kShardMagic, sizeof(kShardMagic)) == 0) return DataFormat::kStowage;
  int32_t words[2];
  std::memcpy(words, begin, sizeof(words));
  if (got == sizeof(begin) && IsLlmCMagic(words[0])) return DataFormat::kLlmC;
  if (absl::EndsWith(path, ".bin")) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, got == 0 ? ": is empty" : ": has neither Stowage's nor llm.c's magic number",
                     ". If it is nanoGPT's (raw uint16, no header), say data.format: nanogpt"));
  }
  if (absl::EndsWith(path, ".stow")) {
    return absl::DataLossError(
        absl::StrCat(path, got == 0 ? ": is empty" : ": does not begin as a Stowage shard does", "; prepare it again"));
  }
  if (absl::EndsWith(path, ".jsonl") || absl::EndsWith(path, ".ndjson")) return DataFormat::kJsonl;
  if (absl::EndsWith(path, ".csv")) return DataFormat::kCsv;
  if (absl::EndsWith(path, ".safetensors")) return DataFormat::kSafetensors;
  if (absl::EndsWith(path, "-ubyte") || absl::EndsWith(path, "-ubyte.gz")) return DataFormat::kIdx;
  if (absl::EndsWith(path, ".gz")) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is compressed; only IDX files are read so (data.format: idx). Unpack it first (gunzip)"));
  }
  return DataFormat::kText;
}

}  // namespace stowage
