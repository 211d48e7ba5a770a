#include "trainer/interop/hf_tokenizer.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "trainer/interop/hf_files.h"

namespace stowage {
namespace {

using Json = nlohmann::ordered_json;

// The character by which GPT-2 spells a byte: itself where that is printable, else one from U+0100 on, in order.
// Source: Radford et al., gpt-2/src/encoder.py, bytes_to_unicode.
std::string SpellByte(int byte) {
  const auto printable = [](int b) { return (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae; };
  int code = byte;
  if (!printable(byte)) {
    code = 256;
    for (int before = 0; before < byte; ++before) code += printable(before) ? 0 : 1;
  }
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xc0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3f))};
}

Json ByteVocabulary() {
  Json vocabulary = Json::object();
  for (int byte = 0; byte < 256; ++byte) vocabulary[SpellByte(byte)] = byte;
  return vocabulary;
}

bool IsByteTokenizer(const Json& json) {
  const auto at = [](const Json& from, const char* key) -> Json {
    return from.is_object() && from.contains(key) ? from[key] : Json();
  };
  const auto is_empty = [](const Json& value) { return value.is_null() || value.empty(); };
  const Json model = at(json, "model"), split = at(json, "pre_tokenizer"), after = at(json, "post_processor");
  // transformers writes one that adds nothing where there was none.
  const bool adds_nothing = is_empty(after) || at(after, "type") == "ByteLevel" ||
                            (at(after, "type") == "TemplateProcessing" && is_empty(at(after, "special_tokens")));
  // Compared as sets of pairs: the order of keys means nothing.
  return at(model, "type") == "BPE" && is_empty(at(model, "merges")) &&
         nlohmann::json(at(model, "vocab")) == nlohmann::json(ByteVocabulary()) && is_empty(at(json, "normalizer")) &&
         at(split, "type") == "ByteLevel" && at(split, "add_prefix_space") == false &&
         is_empty(at(json, "added_tokens")) && adds_nothing;
}

absl::Status WriteJson(const std::string& folder, const char* file, const Json& json) {
  return WriteFileDurably(absl::StrCat(folder, "/", file), absl::StrCat(json.dump(2), "\n"));
}

}  // namespace

absl::StatusOr<HfTokenizerKind> FindHfTokenizer(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/", kHfTokenizerFile);
  // A folder may have both; tokenizer.json is then made from the sentencepiece model.
  if (PathExists(HfSentencepiecePath(folder))) return HfTokenizerKind::kSentencepiece;
  if (PathExists(path)) {
    STOWAGE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
    const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    return IsByteTokenizer(json) ? HfTokenizerKind::kBytes : HfTokenizerKind::kOther;
  }
  for (const char* file :
       {"vocab.json", "merges.txt", "vocab.txt", "tiktoken.model", "tekken.json", kHfTokenizerConfigFile}) {
    if (PathExists(absl::StrCat(folder, "/", file))) return HfTokenizerKind::kOther;
  }
  return HfTokenizerKind::kNone;
}

std::string HfSentencepiecePath(const std::string& folder) { return absl::StrCat(folder, "/", kHfSentencepieceFile); }

absl::Status WriteHfByteTokenizer(const std::string& folder, int64_t context) {
  const Json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
  const Json tokenizer = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", Json::array()},
      {"normalizer", nullptr},
      {"pre_tokenizer", byte_level},
      {"post_processor", nullptr},
      {"decoder", byte_level},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"vocab", ByteVocabulary()},
        {"merges", Json::array()}}},
  };
  STOWAGE_RETURN_IF_ERROR(WriteJson(folder, kHfTokenizerFile, tokenizer));
  // No special tokens: written as text they could not be told from the same characters. What ends a document is said
  // as a number, in config.json.
  return WriteJson(folder, kHfTokenizerConfigFile,
                   {{"tokenizer_class", "PreTrainedTokenizerFast"},
                    {"clean_up_tokenization_spaces", false},
                    {"model_max_length", context}});
}

absl::Status WriteHfSentencepiece(const std::string& folder, const std::string& model_bytes, bool adds_space,
                                  int64_t context) {
  STOWAGE_RETURN_IF_ERROR(WriteFileDurably(HfSentencepiecePath(folder), model_bytes));
  return WriteJson(folder, kHfTokenizerConfigFile,
                   {{"tokenizer_class", "LlamaTokenizer"},
                    {"legacy", false},
                    {"add_prefix_space", adds_space},
                    {"add_bos_token", false},
                    {"add_eos_token", false},
                    {"clean_up_tokenization_spaces", false},
                    {"model_max_length", context}});
}

}  // namespace stowage
