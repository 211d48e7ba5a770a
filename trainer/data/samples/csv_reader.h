// Reads a CSV file line by line: fields between commas, as RFC 4180 has them, except that a field ends where its line
// ends. In double quotes a field may hold commas, and "" for a quote. Spaces around an unquoted field are not part of
// it. Lines end with LF or CRLF; blank lines, and a byte order mark at the start, are passed over. Not thread-safe.
#ifndef STOWAGE_TRAINER_DATA_SAMPLES_CSV_READER_H_
#define STOWAGE_TRAINER_DATA_SAMPLES_CSV_READER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/file.h"

namespace stowage {

class CsvReader {
 public:
  static constexpr int64_t kLineBytes = int64_t{64} << 20;  // a longer line is a mistake, not a row

  // The first line that is not blank gives the columns' names. NotFound and the like: cannot be opened.
  // InvalidArgument: the file is empty, a name is empty or there twice, or the line holds nothing but numbers.
  static absl::StatusOr<CsvReader> Open(const std::string& path);

  const std::vector<std::string>& columns() const { return columns_; }

  // The next row into `fields` ([columns]), or false at the file's end. InvalidArgument with "file:line: ...": another
  // number of fields, a quote that is not closed. DataLoss: the file became shorter.
  absl::StatusOr<bool> Next(std::vector<std::string>* fields);

  // "file:line:field" of a field of the last row, counted from 1.
  std::string Place(int64_t column) const;
  int64_t line() const { return line_; }
  uint32_t crc32c() const { return crc_; }  // of what has been read; at the end, of the file

 private:
  explicit CsvReader(InputFile file) : file_(std::move(file)) {}

  absl::StatusOr<bool> NextLine(absl::string_view* line);  // without its end; not blank
  absl::Status SplitLine(absl::string_view line, std::vector<std::string>* fields) const;

  InputFile file_;
  std::vector<std::string> columns_;
  std::string buffered_;  // read and not returned yet, from used_ on
  size_t used_ = 0;
  int64_t read_bytes_ = 0;
  int64_t line_ = 0;
  uint32_t crc_ = 0;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_SAMPLES_CSV_READER_H_
