// One file of tokens, in any of the formats that hold tokens (data_format.h), read by position.
//
// The file is read and never mapped: pages of a mapped file would count as this process's memory. What is wrong with
// a file is found when it is opened: empty, cut short, longer than its header says, odd length, another magic number,
// a newer version. Up to kCheckedBytes the contents are gone through as well: tokens below the vocabulary, and the
// checksum where the format has one. Larger files would take too long at each start; `Verify` does it for them, and
// every read checks its tokens whatever the size.
// Thread-safe: reads share no state.
#ifndef STOWAGE_TRAINER_DATA_TOKEN_FILE_H_
#define STOWAGE_TRAINER_DATA_TOKEN_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file.h"
#include "trainer/data/data_format.h"

namespace stowage {

class TokenFile {
 public:
  // 256 MiB: 0.1 s from the page cache, a second or two from a disk.
  static constexpr int64_t kCheckedBytes = int64_t{256} << 20;

  // `vocabulary` > 0: every token must be below it, besides what the file itself promises. `checked_bytes`: see above.
  // NotFound and the like: cannot be opened. DataLoss: damaged. InvalidArgument: another format (the message says
  // which there are), or a token >= vocabulary (file, position, token). FailedPrecondition: written by a newer version.
  static absl::StatusOr<std::unique_ptr<TokenFile>> Open(const std::string& path, DataFormat format, int64_t vocabulary,
                                                         int64_t checked_bytes = kCheckedBytes);

  const std::string& path() const { return file_.path(); }
  int64_t tokens() const { return tokens_; }  // at least 1

  // What the file itself promises: a shard's header, or llm.c's tokenizer (50257, 128256). 0: the format does not say.
  int64_t vocabulary() const { return vocabulary_; }

  // Tokens [first, first + count) to `to`; they must be in the file. DataLoss: it was cut since it was opened.
  // InvalidArgument: a token >= vocabulary.
  absl::Status Read(int64_t first, int64_t count, int64_t* to) const;

  // Goes through the whole file: tokens, and the checksum of Stowage's shards. DataLoss, InvalidArgument as above.
  absl::Status Verify() const;

  // Of the payload: a shard's from its header; another format's computed at opening, from the whole file or, beyond
  // checked_bytes, from its first and last MiB.
  uint32_t checksum() const { return checksum_; }

  // "stowage:1:256:4404413:89abcdef": format, bytes a token, vocabulary, tokens, checksum.
  std::string fingerprint() const;

 private:
  TokenFile(InputFile file, DataFormat format) : file_(std::move(file)), format_(format) {}

  absl::Status ReadShardHeader();
  absl::Status ReadLlmCHeader();
  absl::Status CheckNanoGpt();
  absl::Status CheckSize(uint64_t tokens_promised) const;

  // Reads tokens [first, first + count) raw into `to`.
  absl::Status ReadRaw(int64_t first, int64_t count, void* to) const;
  // The checksum of tokens [first, first + count) going on from `crc`, each token checked against bound_.
  absl::StatusOr<uint32_t> Scan(int64_t first, int64_t count, uint32_t crc) const;
  absl::Status TokenTooLarge(int64_t position, uint64_t token) const;

  // Constant once opened.
  InputFile file_;
  DataFormat format_;
  int64_t header_bytes_ = 0;
  int64_t token_bytes_ = 0;
  int64_t tokens_ = 0;
  int64_t vocabulary_ = 0;
  uint64_t bound_ = 0;  // the smaller of vocabulary_ and what Open was told; 0: none
  uint32_t checksum_ = 0;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_TOKEN_FILE_H_
