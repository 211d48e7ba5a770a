#include "trainer/data/open_tokens.h"

#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "trainer/data/data_cache.h"
#include "trainer/data/data_format.h"
#include "trainer/data/expand_paths.h"
#include "trainer/data/prepare.h"
#include "trainer/data/prepare_tokenizer.h"
#include "trainer/data/token_file.h"
#include "trainer/data/tokenizers/make_tokenizer.h"

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
  OpenedTokens opened{std::move(first)};
  if (!validation.empty()) {
    // A model sized by the training data cannot take other tokens than it has.
    STOWAGE_ASSIGN_OR_RETURN(opened.validation,
                             OpenFiles(validation, declared, vocabulary > 0 ? vocabulary : opened.train.vocabulary()));
  }
  return opened;
}

// data.tokenizer and data.tokenizer_vocabulary may repeat what the folder was prepared with, and nothing else.
absl::Status CheckTokenizerOfFolder(const DataConfig& config, const std::string& folder, const PreparedData& data,
                                    const Tokenizer& tokenizer) {
  const std::string& asked = config.tokenizer;
  std::string found = data.tokenizer;
  bool same = asked.empty() || asked == found;
  if (absl::EndsWith(asked, ".model")) {
    STOWAGE_ASSIGN_OR_RETURN(const auto given, ReadTokenizer(asked));
    same = given->fingerprint() == tokenizer.fingerprint();
  }
  if (!same) {
    return absl::InvalidArgumentError(absl::StrCat("data.tokenizer: ", asked, ", but ", folder, " was prepared with ",
                                                   found, " (", tokenizer.fingerprint(),
                                                   "); leave it out, or prepare the text anew"));
  }
  if (config.tokenizer_vocabulary.value_or(data.vocabulary) != data.vocabulary ||
      (config.tokenizer_vocabulary && found == "bytes")) {
    return absl::InvalidArgumentError(absl::StrCat("data.tokenizer_vocabulary: ", *config.tokenizer_vocabulary,
                                                   ", but ", folder, " was prepared with ", found, ", ",
                                                   data.vocabulary, " tokens; leave it out, or prepare the text anew"));
  }
  return absl::OkStatus();
}

absl::StatusOr<OpenedTokens> OpenPrepared(const DataConfig& config, const std::string& folder, int64_t vocabulary) {
  STOWAGE_ASSIGN_OR_RETURN(PreparedData data, ReadPrepared(folder));
  STOWAGE_ASSIGN_OR_RETURN(std::shared_ptr<const Tokenizer> tokenizer, ReadPreparedTokenizer(folder, data));
  STOWAGE_RETURN_IF_ERROR(CheckTokenizerOfFolder(config, folder, data, *tokenizer));
  std::vector<std::string> validation;
  if (data.validation.has_value() && data.validation->tokens > 0) {
    validation.push_back(absl::StrCat(folder, "/", kValidationShard));
  }
  STOWAGE_ASSIGN_OR_RETURN(OpenedTokens opened,
                           OpenBoth({absl::StrCat(folder, "/", kTrainShard)}, validation, "stowage", vocabulary));
  opened.tokenizer = std::move(tokenizer);
  // Of a folder prepared with a model made elsewhere, "auto" is all that a config can say.
  if (data.tokenizer != "sentencepiece") opened.tokenizer_word = data.tokenizer;
  if (!validation.empty()) {
    opened.validation_bytes_per_token =
        static_cast<double>(data.validation->text_bytes) / static_cast<double>(data.validation->tokens);
  }
  return opened;
}

// Files of tokens say at most how many there are; what they stand for is said by data.tokenizer.
absl::StatusOr<OpenedTokens> OpenTokenFiles(const DataConfig& config, int64_t vocabulary) {
  const std::string& asked = config.tokenizer;
  if (asked == "bpe" || config.tokenizer_vocabulary.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "data.tokenizer", asked == "bpe" ? ": bpe" : "_vocabulary", " is about text to learn from, but ",
        config.train[0], " holds tokens; give the model they were made with (PATH.model), or leave it out"));
  }
  std::shared_ptr<const Tokenizer> tokenizer;
  if (absl::EndsWith(asked, ".model")) {
    STOWAGE_ASSIGN_OR_RETURN(tokenizer, ReadTokenizer(asked));
    if (vocabulary == 0) vocabulary = tokenizer->vocabulary();
  }
  STOWAGE_ASSIGN_OR_RETURN(OpenedTokens opened, OpenBoth(config.train, config.validation, config.format, vocabulary));
  // Shards of 256 tokens are those that `stowage prepare` makes of bytes.
  const bool bytes =
      asked == "bytes" || (asked.empty() && absl::StartsWith(opened.train.fingerprint(), "stowage:1:256:"));
  if (bytes) {
    STOWAGE_ASSIGN_OR_RETURN(tokenizer, MakeTokenizer("bytes", ""));
  }
  opened.tokenizer = std::move(tokenizer);
  opened.tokenizer_word = asked.empty() ? (bytes ? "bytes" : "none") : asked;
  return opened;
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
    return OpenPrepared(config, config.train[0], vocabulary);
  }
  if (config.source.empty()) {
    STOWAGE_ASSIGN_OR_RETURN(bool tokens, HoldTokens(config));
    if (tokens) return OpenTokenFiles(config, vocabulary);
  }
  if (config.tokenizer == "none") {
    return absl::InvalidArgumentError(
        "data.tokenizer: none is for files that hold tokens; text needs one: bytes, bpe or PATH.model");
  }

  STOWAGE_ASSIGN_OR_RETURN(std::string folder, PreparedFolderFor(config));
  auto opened = OpenPrepared(config, folder, vocabulary);
  if (absl::IsNotFound(opened.status()) || absl::IsDataLoss(opened.status())) {
    const auto check = [&] {
      opened = OpenPrepared(config, folder, vocabulary);
      return opened.status();
    };
    STOWAGE_RETURN_IF_ERROR(PrepareInCache(config, folder, check, say));
    if (!opened.ok()) opened = OpenPrepared(config, folder, vocabulary);
  }
  if (opened.ok() && !config.tokenizer.empty()) opened->tokenizer_word = config.tokenizer;
  return opened;
}

}  // namespace stowage
