#include "trainer/data/tokenizers/train_tokenizer.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "trainer/data/document_reader.h"
#include "trainer/data/tokenizers/sentencepiece_library.h"

namespace stowage {
namespace {

constexpr uint64_t kSampleKey = 0x6c696e6573;  // "lines"

// The library passes over longer sentences. Pieces do not reach over spaces, so a cut at a space changes nothing.
constexpr size_t kSentenceBytes = 4096;

// The nearest cut at or before byte `at` that is not inside a character; at least 1. at < text.size().
size_t CharacterCut(absl::string_view text, size_t at) {
  while (at > 1 && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) --at;
  return std::max<size_t>(at, 1);
}

// Gives the sentences one after another: lines of the documents, long ones cut.
class Sentences {
 public:
  Sentences(const TokenizerTraining& training, int64_t last_byte, double keep)
      : training_(training), last_byte_(last_byte), keep_(keep) {}

  bool Next(std::string* sentence) {
    while (status_.ok()) {
      if (line_.empty() && !NextLine()) return false;
      const absl::string_view cut = TakeSentence();
      if (cut.empty() || !Chosen() || ValidUtf8(cut) != cut) continue;
      *sentence = std::string(cut);
      sentence_bytes_ += static_cast<int64_t>(cut.size());
      return true;
    }
    return false;
  }

  const absl::Status& status() const { return status_; }
  int64_t text_bytes() const { return text_bytes_; }          // read so far, of documents that are not held out
  int64_t sentence_bytes() const { return sentence_bytes_; }  // given so far

 private:
  // The next line of the texts to line_; false at the end, or after an error.
  bool NextLine() {
    while (text_bytes_ < last_byte_) {
      if (rest_.empty() && !NextPiece()) return false;
      const size_t newline = rest_.find('\n');
      size_t taken = newline == absl::string_view::npos ? rest_.size() : newline + 1;
      if (static_cast<int64_t>(taken) > last_byte_ - text_bytes_) {
        taken = CharacterCut(rest_, static_cast<size_t>(last_byte_ - text_bytes_));
        text_bytes_ = last_byte_;
      } else {
        text_bytes_ += static_cast<int64_t>(taken);
      }
      line_ = absl::StripSuffix(rest_.substr(0, taken), "\n");
      rest_.remove_prefix(taken);
      if (!line_.empty()) return true;
    }
    return false;
  }

  bool NextPiece() {
    while (true) {
      if (!reader_.has_value()) {
        if (file_ == training_.files.size()) return false;
        const auto& [path, format] = training_.files[file_++];
        auto opened = DocumentReader::Open(path, format, training_.field);
        if (!Note(opened.status())) return false;
        reader_.emplace(*std::move(opened));
      }
      auto piece = reader_->Next();
      if (!Note(piece.status())) return false;
      if (piece->end_of_file) {
        reader_.reset();
        continue;
      }
      const bool held_out = training_.skip && training_.skip(document_);
      document_ += piece->ends_document;
      if (held_out) continue;
      piece_ = *std::move(piece);
      rest_ = piece_.text;
      return true;
    }
  }

  absl::string_view TakeSentence() {
    absl::string_view sentence = line_.substr(0, kSentenceBytes);
    if (sentence.size() < line_.size()) {
      size_t cut = sentence.rfind(' ');
      if (cut == absl::string_view::npos || cut == 0) cut = CharacterCut(line_, kSentenceBytes);
      sentence = sentence.substr(0, cut);
    }
    line_.remove_prefix(sentence.size());
    return sentence;
  }

  bool Chosen() {
    const uint64_t hash = HashKey({kSampleKey, static_cast<uint64_t>(sentence_++)});
    return keep_ >= 1.0 || static_cast<double>(hash) < std::ldexp(keep_, 64);
  }

  bool Note(const absl::Status& status) {
    if (!status.ok()) status_ = status;
    return status.ok();
  }

  const TokenizerTraining& training_;
  int64_t last_byte_;
  double keep_;
  absl::Status status_;
  size_t file_ = 0;
  std::optional<DocumentReader> reader_;
  int64_t document_ = 0;
  int64_t sentence_ = 0;
  int64_t text_bytes_ = 0;
  int64_t sentence_bytes_ = 0;
  DocumentReader::Piece piece_;
  absl::string_view rest_;  // of piece_.text
  absl::string_view line_;  // of piece_.text, what is left of the line
};

// The number after `words` in the library's message.
std::optional<int64_t> NumberAfter(absl::string_view message, absl::string_view words) {
  const size_t found = message.find(words);
  if (found == absl::string_view::npos) return std::nullopt;
  const int64_t number = std::strtoll(std::string(message.substr(found + words.size())).c_str(), nullptr, 10);
  return number > 0 ? std::optional<int64_t>(number) : std::nullopt;
}

absl::Status TrainingError(const std::string& error, int64_t vocabulary, int64_t sentence_bytes) {
  const std::string asked = absl::StrCat("data.tokenizer_vocabulary (--vocab-size): ", vocabulary, ", but the ",
                                         sentence_bytes, " bytes of text to learn from ");
  if (const auto most = NumberAfter(error, "to a value <= ")) {
    return absl::InvalidArgumentError(
        absl::StrCat(asked, "give ", *most, " pieces at most; ask for ", *most, " or less, or give more text"));
  }
  if (const auto least = NumberAfter(error, absl::StrCat(vocabulary, " vs "))) {
    return absl::InvalidArgumentError(
        absl::StrCat(asked, "take ", *least, " for the bytes and its characters alone; ask for more than that"));
  }
  if (sentence_bytes == 0) {
    return absl::InvalidArgumentError("data.tokenizer bpe: the text holds no lines to learn from (valid UTF-8)");
  }
  return absl::InvalidArgumentError(
      absl::StrCat("data.tokenizer bpe: SentencePiece could not learn from the text: ", error));
}

}  // namespace

absl::StatusOr<std::string> TrainTokenizer(const TokenizerTraining& training) {
  // Once through, to know how much there is.
  Sentences all(training, std::numeric_limits<int64_t>::max(), 1.0);
  std::string sentence;
  while (all.Next(&sentence)) {
  }
  STOWAGE_RETURN_IF_ERROR(all.status());
  const int64_t last_byte = static_cast<int64_t>(std::floor(training.head * static_cast<double>(all.text_bytes())));
  const double keep = static_cast<double>(training.text_bytes) / static_cast<double>(std::max<int64_t>(last_byte, 1));

  Sentences chosen(training, last_byte, keep);
  std::string model;
  const std::string error = TrainBpe(
      static_cast<int>(training.vocabulary), [&](std::string* next) { return chosen.Next(next); }, &model);
  STOWAGE_RETURN_IF_ERROR(chosen.status());
  if (!error.empty()) return TrainingError(error, training.vocabulary, chosen.sentence_bytes());
  return model;
}

}  // namespace stowage
