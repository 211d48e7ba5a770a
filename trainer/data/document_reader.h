// Reads the documents of a text or JSONL file in pieces, so that no file, and no document of a text file, need fit in
// memory.
//
// A text file is one document. A JSONL file has one document a line, in one field of a JSON object; blank lines and
// empty texts are passed over. Not thread-safe.
#ifndef STOWAGE_TRAINER_DATA_DOCUMENT_READER_H_
#define STOWAGE_TRAINER_DATA_DOCUMENT_READER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/file.h"
#include "trainer/data/data_format.h"

namespace stowage {

class DocumentReader {
 public:
  // A line of JSONL must fit in memory; a longer one is not JSONL but a mistake.
  static constexpr int64_t kLineBytes = int64_t{256} << 20;
  static constexpr int64_t kPieceBytes = int64_t{1} << 20;

  // `format` kText or kJsonl; `field` for the latter. InvalidArgument: the file is empty. Else as InputFile::Open;
  // DataLoss: it became shorter meanwhile.
  static absl::StatusOr<DocumentReader> Open(const std::string& path, DataFormat format, const std::string& field,
                                             int64_t line_bytes = kLineBytes);

  struct Piece {
    std::string text;  // at most 2 * kPieceBytes of a text file, cut after a newline or at least between UTF-8
                       // characters; the whole document of a JSONL line
    bool ends_document = false;
    bool end_of_file = false;  // nothing else is set: all has been read
  };

  // InvalidArgument with "file:line: ...": not JSON, not an object, no such field (those there are named), not a text.
  absl::StatusOr<Piece> Next();

  // Where the piece last returned begins, for messages: "file:12" or "file, from byte 1048576".
  std::string place() const;
  int64_t bytes_read() const { return read_bytes_; }

 private:
  DocumentReader(InputFile file, DataFormat format, std::string field, int64_t line_bytes)
      : file_(std::move(file)), format_(format), field_(std::move(field)), line_bytes_(line_bytes) {}

  absl::StatusOr<Piece> NextOfText();
  absl::StatusOr<Piece> NextLine();
  absl::StatusOr<std::string> TextOfLine(absl::string_view line) const;
  // Reads up to a piece more to the end of buffered_; false at the file's end (as it was when opened: a file that
  // others append to ends somewhere).
  absl::StatusOr<bool> Fill();

  InputFile file_;
  DataFormat format_;
  std::string field_;
  int64_t line_bytes_;

  std::string buffered_;  // read and not returned yet, from used_ on
  size_t used_ = 0;
  int64_t read_bytes_ = 0;
  int64_t piece_start_ = 0;  // byte of the file where the last piece began
  int64_t line_ = 0;         // of the last piece, from 1
};

// Whether the files hold at least `enough` documents; reads JSONL only as far as that takes.
absl::StatusOr<bool> HasDocuments(const std::vector<std::pair<std::string, DataFormat>>& files, int64_t enough);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_DOCUMENT_READER_H_
