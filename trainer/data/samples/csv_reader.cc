#include "trainer/data/samples/csv_reader.h"

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/crc32c.h"
#include "base/status_macros.h"

namespace stowage {
namespace {

constexpr int64_t kPieceBytes = int64_t{1} << 20;
constexpr char kByteOrderMark[] = "\xef\xbb\xbf";

bool IsNumber(const std::string& text) {
  double value;
  return absl::SimpleAtod(text, &value);
}

}  // namespace

absl::StatusOr<CsvReader> CsvReader::Open(const std::string& path) {
  STOWAGE_ASSIGN_OR_RETURN(InputFile file, InputFile::Open(path));
  CsvReader reader(std::move(file));
  absl::string_view line;
  STOWAGE_ASSIGN_OR_RETURN(const bool any, reader.NextLine(&line));
  if (!any)
    return absl::InvalidArgumentError(absl::StrCat(path, ": is empty; a CSV file begins with its columns' names"));
  STOWAGE_RETURN_IF_ERROR(reader.SplitLine(absl::StripPrefix(line, kByteOrderMark), &reader.columns_));
  std::set<std::string> seen;
  for (size_t i = 0; i < reader.columns_.size(); ++i) {
    const std::string& name = reader.columns_[i];
    if (!name.empty() && seen.insert(name).second) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(reader.Place(static_cast<int64_t>(i)), ": ",
                     name.empty() ? "a column without a name" : absl::StrCat("column ", name, " is there twice")));
  }
  if (std::all_of(reader.columns_.begin(), reader.columns_.end(), IsNumber)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ":", reader.line_, ": holds nothing but numbers, '", line,
                     "', where the columns' names should be; put a header line in front"));
  }
  return reader;
}

absl::StatusOr<bool> CsvReader::NextLine(absl::string_view* line) {
  size_t searched = used_;
  while (true) {
    size_t newline = buffered_.find('\n', searched);
    const bool at_end = read_bytes_ == file_.bytes();
    if (newline == std::string::npos && at_end) {
      if (used_ == buffered_.size()) return false;
      newline = buffered_.size();  // the last line may lack its end
    }
    if (newline != std::string::npos) {
      *line = absl::StripSuffix(absl::string_view(buffered_).substr(used_, newline - used_), "\r");
      used_ = searched = std::min(newline + 1, buffered_.size());
      ++line_;
      if (absl::StripAsciiWhitespace(*line).empty()) continue;
      return true;
    }
    if (static_cast<int64_t>(buffered_.size() - used_) > kLineBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat(file_.path(), ":", line_ + 1, ": the line is longer than ", kLineBytes, " bytes; is this CSV?"));
    }
    buffered_.erase(0, used_);
    used_ = 0;
    searched = buffered_.size();
    const int64_t bytes = std::min(kPieceBytes, file_.bytes() - read_bytes_);
    buffered_.resize(searched + bytes);
    STOWAGE_RETURN_IF_ERROR(file_.Read(read_bytes_, bytes, buffered_.data() + searched));
    crc_ = ExtendCrc32c(crc_, buffered_.data() + searched, bytes);
    read_bytes_ += bytes;
  }
}

absl::Status CsvReader::SplitLine(absl::string_view line, std::vector<std::string>* fields) const {
  fields->clear();
  size_t at = 0;
  while (true) {
    std::string& field = fields->emplace_back();
    const size_t begin = std::min(line.find_first_not_of(" \t", at), line.size());
    if (begin < line.size() && line[begin] == '"') {
      for (at = begin + 1;; ++at) {
        const size_t quote = line.find('"', at);
        if (quote == absl::string_view::npos) {
          return absl::InvalidArgumentError(absl::StrCat(Place(static_cast<int64_t>(fields->size()) - 1),
                                                         ": a quote (\") is not closed on its line"));
        }
        field.append(line.data() + at, quote - at);
        at = quote + 1;
        if (at >= line.size() || line[at] != '"') break;
        field.push_back('"');
      }
      const size_t next = std::min(line.find(',', at), line.size());
      if (!absl::StripAsciiWhitespace(line.substr(at, next - at)).empty()) {
        return absl::InvalidArgumentError(absl::StrCat(Place(static_cast<int64_t>(fields->size()) - 1),
                                                       ": text after a closing quote: '", line.substr(at, next - at),
                                                       "'"));
      }
      at = next;
    } else {
      const size_t next = std::min(line.find(',', at), line.size());
      field = std::string(absl::StripAsciiWhitespace(line.substr(at, next - at)));
      at = next;
    }
    if (at == line.size()) return absl::OkStatus();
    ++at;  // the comma; at the line's end an empty field follows it
  }
}

absl::StatusOr<bool> CsvReader::Next(std::vector<std::string>* fields) {
  absl::string_view line;
  STOWAGE_ASSIGN_OR_RETURN(const bool any, NextLine(&line));
  if (!any) return false;
  STOWAGE_RETURN_IF_ERROR(SplitLine(line, fields));
  if (fields->size() != columns_.size()) {
    return absl::InvalidArgumentError(absl::StrCat(file_.path(), ":", line_, ": has ", fields->size(),
                                                   " fields, but the header has ", columns_.size(), " columns: '",
                                                   line.substr(0, 80), line.size() > 80 ? "...'" : "'"));
  }
  return true;
}

std::string CsvReader::Place(int64_t column) const { return absl::StrCat(file_.path(), ":", line_, ":", column + 1); }

}  // namespace stowage
