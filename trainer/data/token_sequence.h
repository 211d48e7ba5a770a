// Several token files, end to end, as one sequence. Immutable: thread-safe.
#ifndef STOWAGE_TRAINER_DATA_TOKEN_SEQUENCE_H_
#define STOWAGE_TRAINER_DATA_TOKEN_SEQUENCE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "trainer/data/token_file.h"

namespace stowage {

class TokenSequence {
 public:
  // At least one file; they follow each other in that order.
  explicit TokenSequence(std::vector<std::unique_ptr<TokenFile>> files);

  int64_t tokens() const { return starts_.back(); }

  // The largest of the files' vocabularies; 0 if one of them does not say.
  int64_t vocabulary() const;

  // Tokens [first, first + count) to `to`; they must be in the sequence. Errors: TokenFile::Read.
  absl::Status Read(int64_t first, int64_t count, int64_t* to) const;

  std::string fingerprint() const;  // the files', joined by ","
  std::string description() const;  // for messages: the first path, and how many more

 private:
  std::vector<std::unique_ptr<TokenFile>> files_;
  std::vector<int64_t> starts_;  // [files + 1]: where each begins; last: tokens of all
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_TOKEN_SEQUENCE_H_
