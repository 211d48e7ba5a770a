#include "trainer/data/data_cache.h"

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "trainer/data/builtin_source.h"
#include "trainer/data/file_lock.h"
#include "trainer/data/prepare.h"

namespace stowage {
namespace {

constexpr int kCacheVersion = 1;  // of how text becomes shards: another one prepares all anew

// Inputs below this take less than a second: no word about progress.
constexpr int64_t kQuietBytes = int64_t{64} << 20;

absl::StatusOr<std::string> FileFacts(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path);
  const auto bytes = std::filesystem::file_size(absolute, error);
  if (error) return FileError(path, "open", error.value());
  const auto changed = std::filesystem::last_write_time(absolute, error).time_since_epoch().count();
  if (error) return FileError(path, "open", error.value());
  return absl::StrCat(absolute.string(), "\n", bytes, "\n", changed, "\n");
}

std::string RequestedTokenizer(const DataConfig& config) {
  return config.tokenizer.empty() ? "bytes" : config.tokenizer;
}

absl::StatusOr<std::string> TokenizerFacts(const DataConfig& config) {
  const std::string tokenizer = RequestedTokenizer(config);
  if (absl::EndsWith(tokenizer, ".model")) return FileFacts(tokenizer);
  // What is asked for wrongly has a folder of its own, and preparing that says what is wrong.
  if (tokenizer != "bpe" && !config.tokenizer_vocabulary.has_value()) return tokenizer;
  return absl::StrCat(tokenizer, ":", config.tokenizer_vocabulary.value_or(kBpeVocabulary));
}

bool MeansPrepare(const absl::Status& status) { return absl::IsNotFound(status) || absl::IsDataLoss(status); }

// A line at each tenth.
class Progress {
 public:
  Progress(std::string what, const std::function<void(const std::string&)>& say) : what_(std::move(what)), say_(say) {}
  void operator()(int64_t done, int64_t total) {
    if (total < kQuietBytes || done * 10 / total == tenth_) return;
    tenth_ = done * 10 / total;
    say_(absl::StrFormat("preparing %s: %d%% of %.0f MB", what_, tenth_ * 10, total / 1e6));
  }

 private:
  std::string what_;
  const std::function<void(const std::string&)>& say_;
  int64_t tenth_ = 0;
};

std::string SourceName(const DataConfig& config) {
  if (!config.source.empty()) return config.source;
  return config.train.size() == 1 ? config.train[0]
                                  : absl::StrCat(config.train[0], " and ", config.train.size() - 1, " more");
}

}  // namespace

absl::StatusOr<std::string> DataCacheFolder(const DataConfig& config) {
  if (!config.cache.empty()) return config.cache;
  const char* xdg = std::getenv("XDG_CACHE_HOME");
  if (xdg != nullptr && xdg[0] != '\0') return absl::StrCat(xdg, "/stowage/data");
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] != '\0') return absl::StrCat(home, "/.cache/stowage/data");
  return absl::FailedPreconditionError(
      "data.cache: neither it nor XDG_CACHE_HOME nor HOME is set; say where prepared data may lie");
}

absl::StatusOr<std::string> PreparedFolderFor(const DataConfig& config) {
  STOWAGE_ASSIGN_OR_RETURN(std::string cache, DataCacheFolder(config));
  STOWAGE_ASSIGN_OR_RETURN(const std::string tokenizer, TokenizerFacts(config));
  std::string facts = absl::StrCat(kCacheVersion, "\n", config.source, "\n", config.format, "\n", config.field, "\n",
                                   tokenizer, "\n", absl::StrFormat("%a", config.validation_fraction), "\n");
  if (!config.source.empty()) STOWAGE_RETURN_IF_ERROR(CheckBuiltinSource(config.source));
  for (const auto* paths : {&config.train, &config.validation}) {
    for (const std::string& path : *paths) {
      STOWAGE_ASSIGN_OR_RETURN(std::string file, FileFacts(path));
      absl::StrAppend(&facts, file);
    }
    absl::StrAppend(&facts, "--\n");
  }
  const std::string name =
      config.source.empty() ? std::filesystem::path(config.train[0]).stem().string() : config.source;
  return absl::StrFormat("%s/%s-%016x", cache, name, HashName(facts));
}

absl::Status PrepareInCache(const DataConfig& config, const std::string& folder,
                            const std::function<absl::Status()>& check,
                            const std::function<void(const std::string&)>& say) {
  STOWAGE_RETURN_IF_ERROR(MakeFolders(std::filesystem::path(folder).parent_path()));
  // Beside the folder, not in it: so that the folder may be deleted at any time.
  const std::string lock_path = folder + ".lock";
  auto lock = FileLock::Try(lock_path);
  if (absl::IsFailedPrecondition(lock.status())) {
    say(absl::StrCat("waiting for another process that prepares ", SourceName(config), " (", lock_path, ")"));
    lock = FileLock::Wait(lock_path);
  }
  STOWAGE_RETURN_IF_ERROR(lock.status());

  const absl::Status state = check();
  if (!MeansPrepare(state)) return state;
  if (absl::IsDataLoss(state)) {
    say(absl::StrCat("the prepared data in ", folder, " is damaged and made anew: ", std::string(state.message())));
  }

  PrepareRequest request;
  request.train = config.train;
  request.validation = config.validation;
  request.format = config.format;
  request.field = config.field;
  request.tokenizer = RequestedTokenizer(config);
  request.vocabulary = config.tokenizer_vocabulary;
  request.validation_fraction = config.validation_fraction;
  request.source = config.source;
  request.output = folder;
  request.replace = true;  // not whole, or check() had been content
  request.progress = Progress(SourceName(config), say);
  STOWAGE_RETURN_IF_ERROR(MakeFolders(folder));
  const std::string text = absl::StrCat(folder, "/", config.source, ".txt");
  absl::Cleanup remove_text = [&] {
    if (!config.source.empty()) unlink(text.c_str());
  };
  if (!config.source.empty()) {
    STOWAGE_RETURN_IF_ERROR(WriteBuiltinSource(config.source, text));
    request.train = {text};
    request.format = "text";
  }
  STOWAGE_ASSIGN_OR_RETURN(PreparedData data, PrepareData(request));
  say(absl::StrCat("prepared ", SourceName(config), ": ", data.train.tokens, " training tokens, ",
                   data.validation.has_value() ? data.validation->tokens : 0, " validation tokens, in ", folder));
  return absl::OkStatus();
}

}  // namespace stowage
