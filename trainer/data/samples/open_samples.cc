#include "trainer/data/samples/open_samples.h"

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "trainer/data/builtin_source.h"
#include "trainer/data/data_format.h"
#include "trainer/data/expand_paths.h"
#include "trainer/data/samples/csv_source.h"
#include "trainer/data/samples/idx_source.h"
#include "trainer/data/samples/safetensors_source.h"
#include "trainer/data/samples/sample_range.h"

namespace stowage {
namespace {

using Paths = std::vector<std::string>;

// All of the section's files, patterns put in.
absl::StatusOr<Paths> AllFiles(const DataConfig& config) {
  STOWAGE_ASSIGN_OR_RETURN(Paths files, ExpandPaths(config.train, "data.train"));
  STOWAGE_ASSIGN_OR_RETURN(const Paths validation, ExpandPaths(config.validation, "data.validation"));
  files.insert(files.end(), validation.begin(), validation.end());
  return files;
}

// The one format of the section's files.
absl::StatusOr<DataFormat> CommonFormat(const DataConfig& config) {
  STOWAGE_ASSIGN_OR_RETURN(const Paths files, AllFiles(config));
  std::optional<DataFormat> common;
  for (const std::string& path : files) {
    STOWAGE_ASSIGN_OR_RETURN(const DataFormat format, FindDataFormat(path, config.format));
    if (common.has_value() && *common != format) {
      return absl::InvalidArgumentError(absl::StrCat("data: ", files[0], " is ", DataFormatName(*common), ", ", path,
                                                     " ", DataFormatName(format),
                                                     "; the files of one section are of one kind"));
    }
    common = format;
  }
  return *common;
}

absl::StatusOr<std::unique_ptr<SampleSource>> OpenIdx(const Paths& paths, const char* key, int64_t known_classes) {
  if (paths.size() != 2) {
    return absl::InvalidArgumentError(absl::StrCat(key, ": names ", paths.size(), " file", paths.size() == 1 ? "" : "s",
                                                   " (", absl::StrJoin(paths, ", "),
                                                   "); IDX data is two, [images, labels]"));
  }
  return IdxSource::Open(paths[0], paths[1], known_classes);
}

absl::StatusOr<std::unique_ptr<SampleSource>> OpenTensors(const Paths& paths, const char* key, int64_t known_classes) {
  if (paths.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat(key, ": names ", paths.size(), " files (",
                                                   absl::StrJoin(paths, ", "), "); give one safetensors file"));
  }
  return SafetensorsSource::Open(paths[0], known_classes);
}

CsvColumns ColumnsOf(const DataConfig& config) { return {config.targets, config.class_column}; }

// Validation samples must have the shape, and the kind of target, of those that the model is made for.
absl::Status CheckAlike(const SampleSource& train, const SampleSource& validation) {
  const DataShape& a = train.shape();
  const DataShape& b = validation.shape();
  const auto text = [](const DataShape& shape) {
    return absl::StrCat("inputs [", absl::StrJoin(shape.input, ", "), "] and ",
                        shape.classes ? "classes" : absl::StrCat(shape.outputs, " numbers to predict"));
  };
  if (a.input == b.input && a.classes == b.classes && a.outputs == b.outputs) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("data: ", train.description(), " has ", text(a), ", ",
                                                 validation.description(), " ", text(b),
                                                 "; training and validation must be alike"));
}

absl::StatusOr<OpenedSamples> Split(std::unique_ptr<SampleSource> whole, double fraction) {
  const int64_t size = whole->size();
  const int64_t held_out = static_cast<int64_t>(std::floor(fraction * static_cast<double>(size)));
  OpenedSamples opened;
  if (held_out == 0 || held_out == size) {
    opened.train = std::move(whole);
    return opened;
  }
  const std::shared_ptr<const SampleSource> shared = std::move(whole);
  opened.train = std::make_unique<SampleRange>(shared, 0, size - held_out);
  opened.validation = std::make_unique<SampleRange>(shared, size - held_out, held_out);
  return opened;
}

// What is about other kinds of data would change nothing here.
absl::Status RefuseOtherKeys(const DataConfig& config, DataFormat format) {
  if (!config.tokenizer.empty() || config.tokenizer_vocabulary.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat("data.tokenizer", config.tokenizer.empty() ? "_vocabulary" : "",
                                                   ": is about text, but the data is ", DataFormatName(format),
                                                   "; leave it out, or say auto"));
  }
  if (format != DataFormat::kCsv && (!config.targets.empty() || !config.class_column.empty())) {
    return absl::InvalidArgumentError(absl::StrCat("data.", config.targets.empty() ? "class_column" : "targets",
                                                   ": names columns, but the data is ", DataFormatName(format),
                                                   ", which has none; leave it out"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<bool> NamesSamples(const DataConfig& config) {
  if (!config.source.empty()) return IsBuiltinImages(config.source);
  STOWAGE_ASSIGN_OR_RETURN(const Paths files, AllFiles(config));
  int samples = 0, others = 0;
  std::string example[2];
  for (const std::string& path : files) {
    if (std::filesystem::is_directory(path)) {  // of prepared tokens
      ++others;
      example[0] = path;
      continue;
    }
    STOWAGE_ASSIGN_OR_RETURN(const DataFormat format, FindDataFormat(path, config.format));
    ++(IsSamples(format) ? samples : others);
    example[IsSamples(format)] = absl::StrCat(path, " (", DataFormatName(format), ")");
  }
  if (samples > 0 && others > 0) {
    return absl::InvalidArgumentError(absl::StrCat("data: ", example[1], " holds samples and ", example[0],
                                                   " text or tokens; the files of one section are of one kind"));
  }
  return samples > 0;
}

absl::StatusOr<OpenedSamples> OpenSamples(const DataConfig& given) {
  DataConfig config = given;
  DataFormat format = DataFormat::kIdx;
  if (!config.source.empty()) {
    if (!config.train.empty() || !config.validation.empty()) {
      return absl::InvalidArgumentError("data: source and files are both given; one of them is enough");
    }
    STOWAGE_ASSIGN_OR_RETURN(BuiltinImageFiles files, FindBuiltinImages(config.source));
    config.train = std::move(files.train);
    config.validation = std::move(files.validation);
  } else {
    STOWAGE_ASSIGN_OR_RETURN(format, CommonFormat(config));
    STOWAGE_ASSIGN_OR_RETURN(config.train, ExpandPaths(config.train, "data.train"));
    STOWAGE_ASSIGN_OR_RETURN(config.validation, ExpandPaths(config.validation, "data.validation"));
  }
  STOWAGE_RETURN_IF_ERROR(RefuseOtherKeys(config, format));

  if (format == DataFormat::kCsv) {
    STOWAGE_ASSIGN_OR_RETURN(std::unique_ptr<CsvSource> train,
                             CsvSource::Open(config.train, ColumnsOf(config), nullptr));
    if (config.validation.empty()) return Split(std::move(train), config.validation_fraction);
    STOWAGE_ASSIGN_OR_RETURN(auto validation, CsvSource::Open(config.validation, ColumnsOf(config), train.get()));
    return OpenedSamples{std::move(train), std::move(validation)};
  }
  const auto open = [&](const Paths& paths, const char* key, int64_t known_classes) {
    return format == DataFormat::kIdx ? OpenIdx(paths, key, known_classes) : OpenTensors(paths, key, known_classes);
  };
  STOWAGE_ASSIGN_OR_RETURN(std::unique_ptr<SampleSource> train, open(config.train, "data.train", 0));
  if (config.validation.empty()) return Split(std::move(train), config.validation_fraction);
  const int64_t known_classes = train->shape().classes ? train->shape().outputs : 0;
  STOWAGE_ASSIGN_OR_RETURN(auto validation, open(config.validation, "data.validation", known_classes));
  STOWAGE_RETURN_IF_ERROR(CheckAlike(*train, *validation));
  return OpenedSamples{std::move(train), std::move(validation)};
}

}  // namespace stowage
