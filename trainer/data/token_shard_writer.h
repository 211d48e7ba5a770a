// Writes one of Stowage's token shards (shard_header.h), aside, and gives it its name when it is whole and on disk.
//
// A writer destroyed before Finish removes what it wrote. Buffers 1 MiB, whatever the shard's size. Not thread-safe.
// ResourceExhausted: the disk is full.
#ifndef STOWAGE_TRAINER_DATA_TOKEN_SHARD_WRITER_H_
#define STOWAGE_TRAINER_DATA_TOKEN_SHARD_WRITER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/file.h"

namespace stowage {

struct ShardInfo {
  int64_t tokens = 0;
  int64_t file_bytes = 0;  // with the header
  uint32_t crc32c = 0;     // of the payload
  int64_t text_bytes = 0;  // of the text that the tokens stand for; 0: not counted. The writer does not know it
};

class TokenShardWriter {
 public:
  // Begins `path` under a temporary name beside it. Tokens will be in [0, vocabulary), 1 to 2^32, and take 1, 2 or 4
  // bytes each by that.
  static absl::StatusOr<TokenShardWriter> Create(const std::string& path, int64_t vocabulary);
  TokenShardWriter(TokenShardWriter&& other) noexcept;
  ~TokenShardWriter();

  absl::Status Append(absl::Span<const int64_t> tokens);
  int64_t tokens() const { return tokens_; }

  // Takes the last `count` tokens away and appends them to `to`: how a single text is split, whose length is known
  // only once it is all tokens.
  absl::Status MoveTail(int64_t count, TokenShardWriter& to);

  // Writes the header and syncs. The shard has its name after Publish().
  absl::StatusOr<ShardInfo> Finish();

  // Renames the finished shard to its path, and syncs the folder.
  absl::Status Publish();

 private:
  TokenShardWriter(std::string path, OutputFile file, int64_t vocabulary, int64_t token_bytes)
      : path_(std::move(path)), file_(std::move(file)), vocabulary_(vocabulary), token_bytes_(token_bytes) {}

  absl::Status Flush();

  std::string path_;
  OutputFile file_;        // under the temporary name
  bool abandoned_ = true;  // the destructor removes it
  int64_t vocabulary_;
  int64_t token_bytes_;
  int64_t tokens_ = 0;
  uint32_t crc_ = 0;          // of what is flushed
  std::vector<char> buffer_;  // not flushed yet
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_TOKEN_SHARD_WRITER_H_
