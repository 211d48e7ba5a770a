#include "trainer/data/document_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"

namespace stowage {
namespace {

// How much of `text` to take: up to its last newline, else up to its last whole UTF-8 character, else all.
size_t GoodCut(absl::string_view text) {
  const size_t newline = text.rfind('\n');
  if (newline != absl::string_view::npos) return newline + 1;
  size_t cut = text.size();
  // Back over continuation bytes (10xxxxxx) to the byte that began the last character, which may lack its end.
  for (int back = 0; back < 4 && cut > 1; ++back) {
    const unsigned char byte = text[--cut];
    if ((byte & 0xc0) != 0x80) return cut;
  }
  return text.size();  // not UTF-8
}

}  // namespace

absl::StatusOr<DocumentReader> DocumentReader::Open(const std::string& path, DataFormat format,
                                                    const std::string& field, int64_t line_bytes) {
  STOWAGE_ASSIGN_OR_RETURN(InputFile file, InputFile::Open(path));
  if (file.bytes() == 0) return absl::InvalidArgumentError(absl::StrCat(path, ": is empty"));
  return DocumentReader(std::move(file), format, field, line_bytes);
}

absl::StatusOr<DocumentReader::Piece> DocumentReader::Next() {
  return format_ == DataFormat::kText ? NextOfText() : NextLine();
}

absl::StatusOr<bool> DocumentReader::Fill() {
  buffered_.erase(0, used_);
  used_ = 0;
  const size_t before = buffered_.size();
  const int64_t bytes = std::min(kPieceBytes, file_.bytes() - read_bytes_);
  buffered_.resize(before + bytes);
  STOWAGE_RETURN_IF_ERROR(file_.Read(read_bytes_, bytes, buffered_.data() + before));
  read_bytes_ += bytes;
  return bytes > 0;
}

absl::StatusOr<DocumentReader::Piece> DocumentReader::NextOfText() {
  Piece piece;
  STOWAGE_RETURN_IF_ERROR(Fill().status());
  if (buffered_.empty()) {
    piece.end_of_file = true;
    return piece;
  }
  piece_start_ = read_bytes_ - buffered_.size();
  piece.ends_document = read_bytes_ == file_.bytes();
  used_ = piece.ends_document ? buffered_.size() : GoodCut(buffered_);
  piece.text = buffered_.substr(0, used_);
  return piece;
}

absl::StatusOr<DocumentReader::Piece> DocumentReader::NextLine() {
  size_t searched = used_;
  while (true) {
    const size_t newline = buffered_.find('\n', searched);
    if (newline != std::string::npos) {
      const absl::string_view line = absl::string_view(buffered_).substr(used_, newline - used_);
      piece_start_ = read_bytes_ - buffered_.size() + used_;
      used_ = searched = newline + 1;
      ++line_;
      if (absl::StripAsciiWhitespace(line).empty()) continue;
      STOWAGE_ASSIGN_OR_RETURN(std::string text, TextOfLine(line));
      if (text.empty()) continue;
      return Piece{std::move(text), true, false};
    }
    if (buffered_.size() - used_ > line_bytes_) {
      return absl::InvalidArgumentError(absl::StrCat(file_.path(), ":", line_ + 1, ": the line is longer than ",
                                                     line_bytes_, " bytes; JSONL has one document a line"));
    }
    const size_t pending = buffered_.size() - used_;
    STOWAGE_ASSIGN_OR_RETURN(const bool more, Fill());
    searched = pending;
    if (more) continue;
    if (buffered_.empty()) return Piece{"", false, true};
    buffered_.push_back('\n');  // the last line may lack it
    searched = 0;
  }
}

absl::StatusOr<std::string> DocumentReader::TextOfLine(absl::string_view line) const {
  const auto error = [&](const auto&... what) {
    return absl::InvalidArgumentError(absl::StrCat(file_.path(), ":", line_, ": ", what...));
  };
  nlohmann::json value;
  try {
    value = nlohmann::json::parse(line.begin(), line.end());
  } catch (const nlohmann::json::exception& e) {
    return error("is not JSON: ", e.what());
  }
  if (!value.is_object()) return error("is JSON but not an object: ", value.type_name());
  const auto found = value.find(field_);
  if (found == value.end()) {
    std::vector<std::string> fields;
    for (const auto& item : value.items()) fields.push_back(item.key());
    return error("has no field '", field_, "' (data.field); its fields: ", absl::StrJoin(fields, ", "));
  }
  if (!found->is_string()) return error("field '", field_, "' is not a text but ", found->type_name());
  return std::move(found->get_ref<std::string&>());
}

std::string DocumentReader::place() const {
  if (format_ == DataFormat::kJsonl) return absl::StrCat(file_.path(), ":", line_);
  return absl::StrCat(file_.path(), ", from byte ", piece_start_);
}

absl::StatusOr<bool> HasDocuments(const std::vector<std::pair<std::string, DataFormat>>& files, int64_t enough) {
  int64_t documents = 0;
  std::string chunk(DocumentReader::kPieceBytes, '\0');
  for (const auto& [path, format] : files) {
    if (documents >= enough) break;
    if (format == DataFormat::kText) {
      ++documents;
      continue;
    }
    STOWAGE_ASSIGN_OR_RETURN(const InputFile file, InputFile::Open(path));
    bool blank = true;
    for (int64_t at = 0; at < file.bytes() && documents < enough; at += chunk.size()) {
      const int64_t bytes = std::min<int64_t>(chunk.size(), file.bytes() - at);
      STOWAGE_RETURN_IF_ERROR(file.Read(at, bytes, chunk.data()));
      for (int64_t i = 0; i < bytes; ++i) {
        if (chunk[i] == '\n') {
          documents += !blank;
          blank = true;
        } else if (!absl::ascii_isspace(chunk[i])) {
          blank = false;
        }
      }
    }
    documents += !blank;
  }
  return documents >= enough;
}

}  // namespace stowage
