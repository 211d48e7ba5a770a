#include "trainer/data/token_file.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/status_macros.h"
#include "trainer/data/shard_header.h"

namespace stowage {
namespace {

constexpr int64_t kChunkBytes = int64_t{1} << 20;  // of a scan
constexpr int64_t kPieceBytes = 16 << 10;          // of a read: fits beside others in the L1 cache and on any stack

constexpr char kFormats[] =
    "Token formats are: stowage (made by `stowage prepare`), llmc (its 1024-byte header) and nanogpt (raw uint16, no "
    "header; say data.format: nanogpt)";

// Calls `use` with `data` as an array of numbers of `token_bytes` bytes.
template <typename Use>
auto AsTokens(const void* data, int64_t token_bytes, const Use& use) {
  if (token_bytes == 1) return use(static_cast<const uint8_t*>(data));
  if (token_bytes == 2) return use(static_cast<const uint16_t*>(data));
  return use(static_cast<const uint32_t*>(data));
}

// Position of the first of `count` tokens that is >= bound, or -1. The maximum first: it is a vector loop.
int64_t FirstTooLarge(const void* data, int64_t token_bytes, int64_t count, uint64_t bound) {
  if (bound == 0 || bound >> (8 * token_bytes) != 0) return -1;
  return AsTokens(data, token_bytes, [&](const auto* tokens) -> int64_t {
    auto most = tokens[0];
    for (int64_t i = 1; i < count; ++i) most = std::max(most, tokens[i]);
    if (most < bound) return -1;
    return std::find_if(tokens, tokens + count, [&](auto token) { return token >= bound; }) - tokens;
  });
}

}  // namespace

absl::StatusOr<std::unique_ptr<TokenFile>> TokenFile::Open(const std::string& path, DataFormat format,
                                                           int64_t vocabulary, int64_t checked_bytes) {
  STOWAGE_CHECK(IsTokens(format) && vocabulary >= 0) << DataFormatName(format) << " " << vocabulary;
  STOWAGE_ASSIGN_OR_RETURN(InputFile input, InputFile::Open(path));
  const int64_t file_bytes = input.bytes();
  if (file_bytes == 0) return absl::DataLossError(absl::StrCat(path, ": is empty"));
  std::unique_ptr<TokenFile> file(new TokenFile(std::move(input), format));
  if (format == DataFormat::kStowage) STOWAGE_RETURN_IF_ERROR(file->ReadShardHeader());
  if (format == DataFormat::kLlmC) STOWAGE_RETURN_IF_ERROR(file->ReadLlmCHeader());
  if (format == DataFormat::kNanoGpt) STOWAGE_RETURN_IF_ERROR(file->CheckNanoGpt());
  if (file->tokens_ == 0) return absl::DataLossError(absl::StrCat(path, ": holds a header and no tokens"));

  const bool shard = format == DataFormat::kStowage;
  if (shard && file_bytes <= checked_bytes) STOWAGE_RETURN_IF_ERROR(file->Verify());
  // llm.c's header names a tokenizer's generation, not a vocabulary: what the caller says is better.
  if (!shard && vocabulary > 0) file->vocabulary_ = vocabulary;
  file->bound_ = file->vocabulary_;
  if (vocabulary > 0 && (file->bound_ == 0 || file->bound_ > vocabulary)) file->bound_ = vocabulary;
  if (file_bytes <= checked_bytes) {
    // A shard's own vocabulary was checked when it was written, and its checksum says it is still what was written.
    if (!shard || file->bound_ < file->vocabulary_) {
      STOWAGE_ASSIGN_OR_RETURN(uint32_t crc, file->Scan(0, file->tokens_, 0));
      file->checksum_ = crc;
    }
  } else if (!shard) {
    const int64_t end = std::min(file->tokens_, kChunkBytes / file->token_bytes_);
    STOWAGE_ASSIGN_OR_RETURN(uint32_t crc, file->Scan(0, end, 0));
    STOWAGE_ASSIGN_OR_RETURN(file->checksum_, file->Scan(file->tokens_ - end, end, crc));
  }
  return file;
}

absl::Status TokenFile::ReadShardHeader() {
  ShardHeader header = {};
  const int64_t got = std::min<int64_t>(file_.bytes(), sizeof(header));
  STOWAGE_RETURN_IF_ERROR(file_.Read(0, got, &header));
  if (std::memcmp(header.magic, kShardMagic, std::min<int64_t>(got, sizeof(kShardMagic))) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(path(), ": is not a Stowage shard. ", kFormats));
  }
  if (got < sizeof(header)) {
    return absl::DataLossError(absl::StrCat(path(), ": is cut short: ", got, " bytes of a 64-byte header"));
  }
  if (header.version > kShardVersion) {
    return absl::FailedPreconditionError(absl::StrCat(path(), ": is a Stowage shard of version ", header.version,
                                                      "; this program reads up to ", kShardVersion));
  }
  const uint64_t width = header.token_bytes;
  if (ExtendCrc32c(0, &header, offsetof(ShardHeader, header_crc32c)) != header.header_crc32c ||
      (width != 1 && width != 2 && width != 4) || header.vocabulary == 0) {
    return absl::DataLossError(absl::StrCat(path(), ": its header is damaged (checksum differs); prepare it again"));
  }
  header_bytes_ = sizeof(header);
  token_bytes_ = width;
  vocabulary_ = header.vocabulary;
  checksum_ = header.payload_crc32c;
  STOWAGE_RETURN_IF_ERROR(CheckSize(header.tokens));
  tokens_ = header.tokens;
  return absl::OkStatus();
}

absl::Status TokenFile::ReadLlmCHeader() {
  int32_t header[3] = {};
  STOWAGE_RETURN_IF_ERROR(file_.Read(0, std::min<int64_t>(file_.bytes(), sizeof(header)), header));
  if (!IsLlmCMagic(header[0])) {
    return absl::InvalidArgumentError(absl::StrCat(path(), ": has not llm.c's magic number (", kLlmCGpt2Magic, " or ",
                                                   kLlmCLlama3Magic, "). ", kFormats));
  }
  if (file_.bytes() < kLlmCHeaderBytes) {
    return absl::DataLossError(absl::StrCat(path(), ": is cut short: ", file_.bytes(), " bytes of a 1024-byte header"));
  }
  const bool gpt2 = header[0] == kLlmCGpt2Magic;
  const int32_t version = gpt2 ? 1 : 7;
  if (header[1] != version) {
    return absl::FailedPreconditionError(absl::StrCat(path(), ": is an llm.c file (magic ", header[0], ") of version ",
                                                      header[1], "; version ", version, " is read"));
  }
  header_bytes_ = kLlmCHeaderBytes;
  token_bytes_ = gpt2 ? 2 : 4;
  vocabulary_ = gpt2 ? 50257 : 128256;
  if (header[2] < 0) return absl::DataLossError(absl::StrCat(path(), ": its header says ", header[2], " tokens"));
  STOWAGE_RETURN_IF_ERROR(CheckSize(header[2]));
  tokens_ = header[2];
  return absl::OkStatus();
}

absl::Status TokenFile::CheckNanoGpt() {
  token_bytes_ = 2;
  if (file_.bytes() % 2 != 0) {
    return absl::DataLossError(
        absl::StrCat(path(), ": has an odd length, ", file_.bytes(), " bytes; nanoGPT's tokens take 2 bytes each"));
  }
  char begin[sizeof(kShardMagic)] = {};
  STOWAGE_RETURN_IF_ERROR(file_.Read(0, std::min<int64_t>(file_.bytes(), sizeof(begin)), begin));
  int32_t words[2];
  std::memcpy(words, begin, sizeof(words));
  // Headers read as tokens would train without a word.
  const bool shard = std::memcmp(begin, kShardMagic, sizeof(begin)) == 0;
  if (shard || (IsLlmCMagic(words[0]) && words[1] > 0 && words[1] < 100)) {
    return absl::InvalidArgumentError(absl::StrCat(path(), ": data.format says nanogpt, but it begins with ",
                                                   shard ? "a Stowage shard's" : "llm.c's",
                                                   " header; say data.format: auto"));
  }
  tokens_ = file_.bytes() / 2;
  return absl::OkStatus();
}

absl::Status TokenFile::CheckSize(uint64_t tokens_promised) const {
  const int64_t payload = file_.bytes() - header_bytes_;
  if (payload % token_bytes_ == 0 && payload / token_bytes_ == tokens_promised) return absl::OkStatus();
  const bool short_of = tokens_promised > payload / token_bytes_;
  return absl::DataLossError(absl::StrCat(path(), short_of ? ": is cut short" : ": is longer than its header says",
                                          ": the header says ", tokens_promised, " tokens of ", token_bytes_,
                                          " bytes, the file holds ", payload, " bytes of them (",
                                          payload / token_bytes_, " tokens)"));
}

absl::Status TokenFile::ReadRaw(int64_t first, int64_t count, void* to) const {
  return file_.Read(header_bytes_ + first * token_bytes_, count * token_bytes_, to);
}

absl::Status TokenFile::TokenTooLarge(int64_t position, uint64_t token) const {
  return absl::InvalidArgumentError(absl::StrCat(path(), ": token ", token, " at position ", position,
                                                 " is not below the vocabulary, ", bound_,
                                                 "; set model.vocabulary to what the tokens were made with, or give "
                                                 "the right file"));
}

absl::Status TokenFile::Read(int64_t first, int64_t count, int64_t* to) const {
  STOWAGE_CHECK(first >= 0 && count >= 0 && first + count <= tokens_) << path() << " " << first << " + " << count;
  // Pieces through the stack, so that threads share no buffer; most contexts are one piece.
  alignas(uint32_t) unsigned char raw[kPieceBytes];
  const int64_t piece_tokens = kPieceBytes / token_bytes_;
  for (int64_t done = 0; done < count; done += piece_tokens) {
    const int64_t n = std::min(piece_tokens, count - done);
    STOWAGE_RETURN_IF_ERROR(ReadRaw(first + done, n, raw));
    const int64_t bad = FirstTooLarge(raw, token_bytes_, n, bound_);
    STOWAGE_RETURN_IF_ERROR(AsTokens(raw, token_bytes_, [&](const auto* tokens) {
      if (bad >= 0) return TokenTooLarge(first + done + bad, tokens[bad]);
      std::copy(tokens, tokens + n, to + done);
      return absl::OkStatus();
    }));
  }
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> TokenFile::Scan(int64_t first, int64_t count, uint32_t crc) const {
  std::vector<uint32_t> chunk(kChunkBytes / sizeof(uint32_t));
  const int64_t chunk_tokens = kChunkBytes / token_bytes_;
  for (int64_t at = first, end = first + count; at < end; at += chunk_tokens) {
    const int64_t n = std::min(chunk_tokens, end - at);
    STOWAGE_RETURN_IF_ERROR(ReadRaw(at, n, chunk.data()));
    crc = ExtendCrc32c(crc, chunk.data(), n * token_bytes_);
    const int64_t bad = FirstTooLarge(chunk.data(), token_bytes_, n, bound_);
    if (bad >= 0) {
      return AsTokens(chunk.data(), token_bytes_,
                      [&](const auto* tokens) { return TokenTooLarge(at + bad, tokens[bad]); });
    }
  }
  return crc;
}

absl::Status TokenFile::Verify() const {
  STOWAGE_ASSIGN_OR_RETURN(uint32_t crc, Scan(0, tokens_, 0));
  if (format_ != DataFormat::kStowage || crc == checksum_) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(path(), ": is damaged: its tokens have the checksum ",
                                          absl::Hex(crc, absl::kZeroPad8), ", the header says ",
                                          absl::Hex(checksum_, absl::kZeroPad8), "; prepare it again"));
}

std::string TokenFile::fingerprint() const {
  return absl::StrCat(DataFormatName(format_), ":", token_bytes_, ":", vocabulary_, ":", tokens_, ":",
                      absl::Hex(checksum_, absl::kZeroPad8));
}

}  // namespace stowage
