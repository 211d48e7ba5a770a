#include "trainer/data/prepare.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "trainer/data/document_reader.h"
#include "trainer/data/file_lock.h"
#include "trainer/data/prepare_tokenizer.h"
#include "trainer/data/prepared_meta.h"
#include "trainer/data/token_file.h"
#include "trainer/data/tokenizers/make_tokenizer.h"

namespace stowage {
namespace {

using Files = std::vector<std::pair<std::string, DataFormat>>;

constexpr uint64_t kSplitKey = 0x73706c6974;  // "split"

// With ten documents expected the held out part is empty once in 20,000 times, and its share of the text is near f.
constexpr double kHeldOutDocuments = 10;

absl::StatusOr<Files> FindFiles(const std::vector<std::string>& paths, const std::string& format) {
  Files files;
  for (const std::string& path : paths) {
    STOWAGE_ASSIGN_OR_RETURN(DataFormat found, FindDataFormat(path, format));
    if (!IsText(found)) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": holds ", IsTokens(found) ? "tokens" : "samples", " (",
                                                     DataFormatName(found), "); only text and jsonl are prepared"));
    }
    files.emplace_back(path, found);
  }
  return files;
}

// Whether document number `document` is held out.
bool IsHeldOut(int64_t document, double fraction) {
  return static_cast<double>(HashKey({kSplitKey, static_cast<uint64_t>(document)})) < std::ldexp(fraction, 64);
}

// One run over all files; counts go up as it reads.
class Preparation {
 public:
  Preparation(const PrepareRequest& request, const Tokenizer& tokenizer, int64_t bytes_total)
      : request_(request), tokenizer_(tokenizer), bytes_total_(bytes_total) {}

  // Appends the documents of `files` to `train`, or to `held_out` (not null) those that `fraction` chooses.
  absl::Status Append(const Files& files, double fraction, TokenShardWriter& train, TokenShardWriter* held_out) {
    for (const auto& [path, format] : files) {
      STOWAGE_ASSIGN_OR_RETURN(DocumentReader reader, DocumentReader::Open(path, format, request_.field));
      while (true) {
        STOWAGE_ASSIGN_OR_RETURN(DocumentReader::Piece piece, reader.Next());
        if (piece.end_of_file) break;
        TokenShardWriter& to = held_out != nullptr && IsHeldOut(documents_, fraction) ? *held_out : train;
        auto tokens = tokenizer_.Encode(piece.text);
        if (!tokens.ok()) return Annotate(tokens.status(), reader.place());
        if (piece.ends_document) {
          tokens->push_back(tokenizer_.end_of_document());
          ++documents_;
        }
        STOWAGE_RETURN_IF_ERROR(to.Append(*tokens));
        if (request_.progress) request_.progress(bytes_done_ + reader.bytes_read(), bytes_total_);
      }
      bytes_done_ += reader.bytes_read();
    }
    return absl::OkStatus();
  }

  int64_t documents() const { return documents_; }

 private:
  const PrepareRequest& request_;
  const Tokenizer& tokenizer_;
  int64_t bytes_total_;
  int64_t bytes_done_ = 0;
  int64_t documents_ = 0;
};

absl::StatusOr<int64_t> TotalBytes(const Files& files) {
  int64_t total = 0;
  for (const auto& [path, format] : files) {
    STOWAGE_ASSIGN_OR_RETURN(int64_t bytes, FileBytes(path));
    total += bytes;
  }
  return total;
}

absl::StatusOr<std::string> ChooseSplit(const PrepareRequest& request, const Files& train) {
  if (!request.validation.empty()) return "given";
  if (request.validation_fraction == 0) return "none";
  const double enough = std::min(std::ceil(kHeldOutDocuments / request.validation_fraction), 1e18);
  STOWAGE_ASSIGN_OR_RETURN(bool many, HasDocuments(train, static_cast<int64_t>(enough)));
  return many ? "documents" : "tail";
}

// Bytes of text that a shard's tokens stand for.
absl::StatusOr<int64_t> TextBytes(const std::string& path, const Tokenizer& tokenizer) {
  STOWAGE_ASSIGN_OR_RETURN(const auto file, TokenFile::Open(path, DataFormat::kStowage, tokenizer.vocabulary()));
  std::vector<int64_t> tokens(std::min<int64_t>(file->tokens(), 1 << 16));
  int64_t bytes = 0;
  for (int64_t first = 0; first < file->tokens(); first += static_cast<int64_t>(tokens.size())) {
    const int64_t count = std::min<int64_t>(file->tokens() - first, static_cast<int64_t>(tokens.size()));
    STOWAGE_RETURN_IF_ERROR(file->Read(first, count, tokens.data()));
    for (int64_t i = 0; i < count; ++i) bytes += tokenizer.TextBytes(tokens[i]);
  }
  return bytes;
}

// Beside shards of a tokenizer that has none, no model may lie about.
absl::Status WriteModel(const std::string& folder, const Tokenizer& tokenizer) {
  const std::string path = absl::StrCat(folder, "/", kTokenizerModel);
  return tokenizer.model().empty() ? RemoveTree(path) : WriteFileDurably(path, tokenizer.model());
}

absl::Status CheckRequest(const PrepareRequest& request) {
  if (request.train.empty()) return absl::InvalidArgumentError("nothing to prepare: no training files were given");
  if (request.output.empty()) return absl::InvalidArgumentError("no output folder was given");
  if (!(request.validation_fraction >= 0 && request.validation_fraction < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.validation_fraction: ", request.validation_fraction, " is not in [0, 1)"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PreparedData> PrepareData(const PrepareRequest& request) {
  STOWAGE_RETURN_IF_ERROR(CheckRequest(request));
  STOWAGE_ASSIGN_OR_RETURN(Files train_files, FindFiles(request.train, request.format));
  STOWAGE_ASSIGN_OR_RETURN(Files validation_files, FindFiles(request.validation, request.format));
  STOWAGE_ASSIGN_OR_RETURN(int64_t train_bytes, TotalBytes(train_files));
  STOWAGE_ASSIGN_OR_RETURN(int64_t validation_bytes, TotalBytes(validation_files));
  STOWAGE_RETURN_IF_ERROR(MakeFolders(request.output));
  STOWAGE_ASSIGN_OR_RETURN(FileLock lock, FileLock::Try(request.output + "/.lock"));
  const std::string meta_path = absl::StrCat(request.output, "/", kDataMeta);
  if (!request.replace && PathExists(meta_path)) {
    return absl::AlreadyExistsError(absl::StrCat(request.output,
                                                 ": holds prepared data already; choose another "
                                                 "folder or remove it"));
  }

  PreparedData data;
  STOWAGE_ASSIGN_OR_RETURN(data.split, ChooseSplit(request, train_files));
  const double fraction = request.validation_fraction;
  STOWAGE_ASSIGN_OR_RETURN(
      const std::unique_ptr<Tokenizer> tokenizer,
      MakeRequestedTokenizer(request, train_files,
                             data.split == "documents" ? [&](int64_t d) { return IsHeldOut(d, fraction); }
                                                       : std::function<bool(int64_t)>(),
                             data.split == "tail" ? 1.0 - fraction : 1.0));
  data.source = request.source.empty() ? absl::StrJoin(request.train, ", ") : request.source;
  data.tokenizer = TokenizerWord(request);
  if (data.tokenizer != "bytes") data.tokenizer_fingerprint = tokenizer->fingerprint();
  data.vocabulary = tokenizer->vocabulary();

  STOWAGE_ASSIGN_OR_RETURN(auto train,
                           TokenShardWriter::Create(absl::StrCat(request.output, "/", kTrainShard), data.vocabulary));
  STOWAGE_ASSIGN_OR_RETURN(
      auto validation, TokenShardWriter::Create(absl::StrCat(request.output, "/", kValidationShard), data.vocabulary));
  Preparation run(request, *tokenizer, train_bytes + validation_bytes);
  STOWAGE_RETURN_IF_ERROR(run.Append(train_files, fraction, train, data.split == "documents" ? &validation : nullptr));
  STOWAGE_RETURN_IF_ERROR(run.Append(validation_files, 0, validation, nullptr));
  if (data.split == "tail") {
    STOWAGE_RETURN_IF_ERROR(train.MoveTail(static_cast<int64_t>(std::floor(train.tokens() * fraction)), validation));
  }
  data.documents = run.documents();
  STOWAGE_ASSIGN_OR_RETURN(data.train, train.Finish());
  if (data.split != "none") {
    STOWAGE_ASSIGN_OR_RETURN(data.validation, validation.Finish());
  }

  // From here to the new meta.json the folder is not complete, whatever was in it before.
  STOWAGE_RETURN_IF_ERROR(RemoveTree(meta_path));
  STOWAGE_RETURN_IF_ERROR(train.Publish());
  if (data.validation.has_value()) {
    STOWAGE_RETURN_IF_ERROR(validation.Publish());
  } else {
    STOWAGE_RETURN_IF_ERROR(RemoveTree(absl::StrCat(request.output, "/", kValidationShard)));  // an older one's
  }
  STOWAGE_RETURN_IF_ERROR(WriteModel(request.output, *tokenizer));
  if (data.validation.has_value() && data.validation->tokens > 0 && data.tokenizer != "bytes") {
    STOWAGE_ASSIGN_OR_RETURN(data.validation->text_bytes,
                             TextBytes(absl::StrCat(request.output, "/", kValidationShard), *tokenizer));
  }
  STOWAGE_RETURN_IF_ERROR(WriteFileDurably(meta_path, MetaToJson(data)));
  return data;
}

absl::StatusOr<PreparedData> ReadPrepared(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/", kDataMeta);
  STOWAGE_ASSIGN_OR_RETURN(std::string text, ReadFile(path));
  auto data = MetaFromJson(text);
  if (!data.ok()) return Annotate(data.status(), path);
  STOWAGE_RETURN_IF_ERROR(CheckShard(absl::StrCat(folder, "/", kTrainShard), data->train));
  if (data->validation.has_value()) {
    STOWAGE_RETURN_IF_ERROR(CheckShard(absl::StrCat(folder, "/", kValidationShard), *data->validation));
  }
  return data;
}

}  // namespace stowage
