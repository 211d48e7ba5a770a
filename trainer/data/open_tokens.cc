#include "trainer/data/open_tokens.h"

#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "trainer/data/data_cache.h"
#include "trainer/data/data_format.h"
#include "trainer/data/expand_paths.h"
#include "trainer/data/prepare.h"
#include "trainer/data/token_file.h"

namespace stowage {
namespace {

absl::StatusOr<TokenSequence> OpenFiles(const std::vector<std::string>& paths, const std::string& declared,
                                        int64_t vocabulary) {
  std::vector<std::unique_ptr<TokenFile>> files;
  for (const std::string& path : paths) {
    STOWAGE_ASSIGN_OR_RETURN(DataFormat format, FindDataFormat(path, declared));
    STOWAGE_ASSIGN_OR_RETURN(auto file, TokenFile::Open(path, format, vocabulary));
    files.push_back(std::move(file));
  }
  return TokenSequence(std::move(files));
}

absl::StatusOr<OpenedTokens> OpenBoth(const std::vector<std::string>& train, const std::vector<std::string>& validation,
                                      const std::string& declared, int64_t vocabulary) {
  STOWAGE_ASSIGN_OR_RETURN(TokenSequence first, OpenFiles(train, declared, vocabulary));
  OpenedTokens opened{std::move(first), std::nullopt};
  if (!validation.empty()) {
    // A model sized by the training data cannot take other tokens than it has.
    STOWAGE_ASSIGN_OR_RETURN(opened.validation,
                             OpenFiles(validation, declared, vocabulary > 0 ? vocabulary : opened.train.vocabulary()));
  }
  return opened;
}

absl::StatusOr<OpenedTokens> OpenPrepared(const std::string& folder, int64_t vocabulary) {
  STOWAGE_ASSIGN_OR_RETURN(PreparedData data, ReadPrepared(folder));
  std::vector<std::string> validation;
  if (data.validation.has_value() && data.validation->tokens > 0) {
    validation.push_back(absl::StrCat(folder, "/", kValidationShard));
  }
  return OpenBoth({absl::StrCat(folder, "/", kTrainShard)}, validation, "stowage", vocabulary);
}

// Whether the files hold tokens. InvalidArgument: some do and some hold text.
absl::StatusOr<bool> HoldTokens(const DataConfig& config) {
  int tokens = 0, texts = 0;
  std::string example[2];
  for (const auto* paths : {&config.train, &config.validation}) {
    for (const std::string& path : *paths) {
      STOWAGE_ASSIGN_OR_RETURN(DataFormat format, FindDataFormat(path, config.format));
      ++(IsTokens(format) ? tokens : texts);
      example[IsTokens(format)] = absl::StrCat(path, " (", DataFormatName(format), ")");
    }
  }
  if (tokens > 0 && texts > 0) {
    return absl::InvalidArgumentError(absl::StrCat("data: ", example[1], " holds tokens and ", example[0],
                                                   " text; prepare the text first (`stowage prepare`) and give the "
                                                   "shards"));
  }
  return tokens > 0;
}

}  // namespace

absl::StatusOr<OpenedTokens> OpenTokens(const DataConfig& given, int64_t vocabulary,
                                        const std::function<void(const std::string&)>& say) {
  DataConfig config = given;
  if (config.source.empty() && config.train.empty()) {
    return absl::InvalidArgumentError("data: neither source nor train says what to train on");
  }
  if (!config.source.empty() && !config.train.empty()) {
    return absl::InvalidArgumentError("data: source and train are both given; one of them is enough");
  }
  STOWAGE_ASSIGN_OR_RETURN(config.train, ExpandPaths(config.train, "data.train"));
  STOWAGE_ASSIGN_OR_RETURN(config.validation, ExpandPaths(config.validation, "data.validation"));
  if (config.train.size() == 1 && config.validation.empty() && std::filesystem::is_directory(config.train[0])) {
    return OpenPrepared(config.train[0], vocabulary);
  }
  if (config.source.empty()) {
    STOWAGE_ASSIGN_OR_RETURN(bool tokens, HoldTokens(config));
    if (tokens) return OpenBoth(config.train, config.validation, config.format, vocabulary);
  }

  STOWAGE_ASSIGN_OR_RETURN(std::string folder, PreparedFolderFor(config));
  auto opened = OpenPrepared(folder, vocabulary);
  if (opened.ok() || !(absl::IsNotFound(opened.status()) || absl::IsDataLoss(opened.status()))) return opened;
  const auto check = [&] {
    opened = OpenPrepared(folder, vocabulary);
    return opened.status();
  };
  STOWAGE_RETURN_IF_ERROR(PrepareInCache(config, folder, check, say));
  return opened.ok() ? std::move(opened) : OpenPrepared(folder, vocabulary);
}

}  // namespace stowage
