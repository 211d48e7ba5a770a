#include "trainer/data/tokenizers/sentencepiece_tokenizer.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/crc32c.h"
#include "base/status_macros.h"
#include "base/utf8.h"

namespace stowage {
namespace {

constexpr char kSpace[] = "\xe2\x96\x81";        // U+2581, how SentencePiece writes a space
constexpr char kReplacement[] = "\xef\xbf\xbd";  // U+FFFD

absl::Status NoModel(const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("is not a SentencePiece model: ", why));
}

// The byte that a byte piece "<0x41>" stands for.
unsigned char ByteOf(const std::string& piece) {
  return static_cast<unsigned char>(std::strtoul(piece.c_str() + 3, nullptr, 16));
}

// How many bytes at the front of `text`, which is not empty, are a character: 0 if they are no UTF-8.
size_t CharacterBytes(absl::string_view text) {
  const unsigned char lead = text[0];
  if (lead < 0x80) return 1;
  const size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  const absl::string_view character = text.substr(0, bytes);
  return character.size() == bytes && ValidUtf8(character) == character ? bytes : 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SentencePieceTokenizer>> SentencePieceTokenizer::Create(const std::string& model) {
  std::string error;
  std::unique_ptr<SentencePieceModel> library = SentencePieceModel::Load(model, &error);
  if (library == nullptr) return NoModel(error);
  if (library->end_of_sentence() < 0) return NoModel("it has no end-of-sentence piece, which ends documents");

  std::unique_ptr<SentencePieceTokenizer> tokenizer(new SentencePieceTokenizer(model, std::move(library)));
  const SentencePieceModel& pieces = *tokenizer->library_;
  std::vector<int64_t> byte_tokens(256, -1);
  for (int id = 0; id < pieces.pieces(); ++id) {
    std::string& text = tokenizer->decoded_.emplace_back();
    switch (pieces.kind(id)) {
      case SentencePieceModel::PieceKind::kText:
        text = absl::StrReplaceAll(pieces.text(id), {{kSpace, " "}});
        // "\n" at a piece's end is fine: the line is encoded with it.
        if (text.find('\n') < text.size() - 1) tokenizer->newlines_end_pieces_ = false;
        break;
      case SentencePieceModel::PieceKind::kByte:
        text = std::string(1, static_cast<char>(ByteOf(pieces.text(id))));
        byte_tokens[static_cast<unsigned char>(text[0])] = id;
        break;
      case SentencePieceModel::PieceKind::kControl:
        break;
      case SentencePieceModel::PieceKind::kUnknown:
        text = kReplacement;
        break;
    }
  }
  if (std::count(byte_tokens.begin(), byte_tokens.end(), -1) == 0) tokenizer->byte_tokens_ = std::move(byte_tokens);
  std::vector<int> probe;
  const std::string failed = pieces.Encode("a", &probe);
  if (!failed.empty() || probe.empty()) return NoModel(absl::StrCat("it cannot encode \"a\": ", failed));
  tokenizer->adds_space_ = pieces.text(probe[0]).rfind(kSpace, 0) == 0;
  return tokenizer;
}

absl::Status SentencePieceTokenizer::EncodeRun(absl::string_view run, std::vector<int64_t>* tokens) const {
  std::vector<int> ids;
  while (!run.empty()) {
    const size_t newline = newlines_end_pieces_ && !adds_space_ ? run.find('\n') : absl::string_view::npos;
    const size_t bytes = newline == absl::string_view::npos ? run.size() : newline + 1;
    const std::string error = library_->Encode(std::string(run.substr(0, bytes)), &ids);
    if (!error.empty()) return absl::InvalidArgumentError(absl::StrCat("SentencePiece cannot encode text: ", error));
    tokens->insert(tokens->end(), ids.begin(), ids.end());
    run.remove_prefix(bytes);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int64_t>> SentencePieceTokenizer::Encode(absl::string_view text) const {
  std::vector<int64_t> tokens;
  if (byte_tokens_.empty()) {
    STOWAGE_RETURN_IF_ERROR(EncodeRun(text, &tokens));
    return tokens;
  }
  // Runs that the library gives back as they are; what lies between them goes by bytes.
  size_t run = 0, at = 0;
  while (at < text.size()) {
    const size_t bytes = CharacterBytes(text.substr(at));
    const bool plain = bytes > 0 && text[at] != '\0' && text.substr(at, bytes) != kSpace;
    if (plain) {
      at += bytes;
      continue;
    }
    STOWAGE_RETURN_IF_ERROR(EncodeRun(text.substr(run, at - run), &tokens));
    for (size_t end = at + std::max<size_t>(bytes, 1); at < end; ++at) {
      tokens.push_back(byte_tokens_[static_cast<unsigned char>(text[at])]);
    }
    run = at;
  }
  STOWAGE_RETURN_IF_ERROR(EncodeRun(text.substr(run), &tokens));
  return tokens;
}

std::string SentencePieceTokenizer::Decode(absl::Span<const int64_t> tokens) const {
  std::string text;
  for (int64_t token : tokens) {
    // A language model's vocabulary may be padded beyond the tokenizer's.
    text += token >= 0 && token < vocabulary() ? decoded_[token] : kReplacement;
  }
  if (adds_space_ && !text.empty() && text[0] == ' ') text.erase(0, 1);
  return text;
}

std::string SentencePieceTokenizer::fingerprint() const {
  return absl::StrCat("sentencepiece:", absl::Hex(Crc32c(model_), absl::kZeroPad8));
}

}  // namespace stowage
