#include "trainer/data/token_shard_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/status_macros.h"
#include "trainer/data/shard_header.h"

namespace stowage {
namespace {

constexpr int64_t kBufferBytes = int64_t{1} << 20;

absl::Status OverwriteHeader(const std::string& path, const ShardHeader& header) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return FileError(path, "open for writing", errno);
  absl::Status status;
  if (pwrite(fd, &header, sizeof(header), 0) != sizeof(header)) status = FileError(path, "write its header", errno);
  if (status.ok() && fsync(fd) != 0) status = FileError(path, "sync its header to disk", errno);
  close(fd);
  return status;
}

}  // namespace

absl::StatusOr<TokenShardWriter> TokenShardWriter::Create(const std::string& path, int64_t vocabulary) {
  STOWAGE_CHECK(vocabulary >= 1 && vocabulary <= int64_t{1} << 32) << vocabulary;
  STOWAGE_ASSIGN_OR_RETURN(OutputFile file, OutputFile::Create(absl::StrCat(path, ".partial-", getpid())));
  const int64_t token_bytes = vocabulary <= 256 ? 1 : vocabulary <= 65536 ? 2 : 4;
  TokenShardWriter writer(path, std::move(file), vocabulary, token_bytes);
  const ShardHeader zero = {};  // the real one comes last: a shard cut short is not taken for a whole one
  STOWAGE_RETURN_IF_ERROR(writer.file_.Append(&zero, sizeof(zero)));
  return writer;
}

TokenShardWriter::TokenShardWriter(TokenShardWriter&& other) noexcept
    : path_(std::move(other.path_)),
      file_(std::move(other.file_)),
      abandoned_(std::exchange(other.abandoned_, false)),
      vocabulary_(other.vocabulary_),
      token_bytes_(other.token_bytes_),
      tokens_(other.tokens_),
      crc_(other.crc_),
      buffer_(std::move(other.buffer_)) {}

TokenShardWriter::~TokenShardWriter() {
  if (abandoned_) unlink(file_.path().c_str());
}

absl::Status TokenShardWriter::Append(absl::Span<const int64_t> tokens) {
  for (int64_t token : tokens) {
    STOWAGE_CHECK(token >= 0 && token < vocabulary_) << token << " of " << vocabulary_;
    const uint32_t narrow = static_cast<uint32_t>(token);
    const char* bytes = reinterpret_cast<const char*>(&narrow);  // little-endian: the low bytes come first
    buffer_.insert(buffer_.end(), bytes, bytes + token_bytes_);
    if (static_cast<int64_t>(buffer_.size()) >= kBufferBytes) STOWAGE_RETURN_IF_ERROR(Flush());
  }
  tokens_ += tokens.size();
  return absl::OkStatus();
}

absl::Status TokenShardWriter::Flush() {
  STOWAGE_RETURN_IF_ERROR(file_.Append(buffer_.data(), buffer_.size()));
  crc_ = ExtendCrc32c(crc_, buffer_.data(), buffer_.size());
  buffer_.clear();
  return absl::OkStatus();
}

absl::Status TokenShardWriter::MoveTail(int64_t count, TokenShardWriter& to) {
  STOWAGE_CHECK(count >= 0 && count <= tokens_ && to.token_bytes_ == token_bytes_) << count << " of " << tokens_;
  STOWAGE_RETURN_IF_ERROR(Flush());
  const std::string path = file_.path();
  const int64_t kept_bytes = (tokens_ - count) * token_bytes_;
  const int64_t end = tokens_ * token_bytes_;
  // The checksum of the part that stays can only be had by reading it again.
  STOWAGE_ASSIGN_OR_RETURN(const InputFile written, InputFile::Open(path));
  crc_ = 0;
  std::vector<char> chunk(kBufferBytes);
  for (int64_t at = 0; at < end;) {
    const int64_t n = std::min(kBufferBytes, (at < kept_bytes ? kept_bytes : end) - at);
    STOWAGE_RETURN_IF_ERROR(written.Read(sizeof(ShardHeader) + at, n, chunk.data()));
    if (at < kept_bytes) {
      crc_ = ExtendCrc32c(crc_, chunk.data(), n);
    } else {
      to.buffer_.insert(to.buffer_.end(), chunk.begin(), chunk.begin() + n);
      STOWAGE_RETURN_IF_ERROR(to.Flush());
    }
    at += n;
  }
  STOWAGE_RETURN_IF_ERROR(file_.Close());
  STOWAGE_ASSIGN_OR_RETURN(file_, OutputFile::Continue(path, sizeof(ShardHeader) + kept_bytes));
  tokens_ -= count;
  to.tokens_ += count;
  return absl::OkStatus();
}

absl::StatusOr<ShardInfo> TokenShardWriter::Finish() {
  STOWAGE_RETURN_IF_ERROR(Flush());
  ShardHeader header = {};
  std::memcpy(header.magic, kShardMagic, sizeof(kShardMagic));
  header.version = kShardVersion;
  header.token_bytes = token_bytes_;
  header.vocabulary = vocabulary_;
  header.tokens = tokens_;
  header.payload_crc32c = crc_;
  header.header_crc32c = ExtendCrc32c(0, &header, offsetof(ShardHeader, header_crc32c));
  // The tokens are on disk before the header that vouches for them.
  STOWAGE_RETURN_IF_ERROR(file_.Sync());
  STOWAGE_RETURN_IF_ERROR(file_.Close());
  STOWAGE_RETURN_IF_ERROR(OverwriteHeader(file_.path(), header));
  return ShardInfo{tokens_, static_cast<int64_t>(sizeof(header)) + tokens_ * token_bytes_, crc_};
}

absl::Status TokenShardWriter::Publish() {
  STOWAGE_RETURN_IF_ERROR(RenameDurably(file_.path(), path_));
  abandoned_ = false;
  return absl::OkStatus();
}

}  // namespace stowage
