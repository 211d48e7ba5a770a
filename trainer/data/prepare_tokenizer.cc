#include "trainer/data/prepare_tokenizer.h"

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "trainer/data/tokenizers/make_tokenizer.h"
#include "trainer/data/tokenizers/train_tokenizer.h"

namespace stowage {

std::string TokenizerWord(const PrepareRequest& request) {
  return request.tokenizer == "bytes" || request.tokenizer == "bpe" ? request.tokenizer : "sentencepiece";
}

absl::StatusOr<std::unique_ptr<Tokenizer>> MakeRequestedTokenizer(
    const PrepareRequest& request, const std::vector<std::pair<std::string, DataFormat>>& train_files,
    const std::function<bool(int64_t document)>& is_held_out, double head) {
  if (request.tokenizer != "bpe" && request.vocabulary.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat("data.tokenizer_vocabulary (--vocab-size): ", *request.vocabulary,
                                                   " is for the tokenizer bpe, but it is ", request.tokenizer,
                                                   "; leave one of the two out"));
  }
  if (request.tokenizer == "bytes") return MakeTokenizer("bytes", "");
  if (absl::EndsWith(request.tokenizer, ".model")) {
    auto tokenizer = ReadTokenizer(request.tokenizer);
    if (!tokenizer.ok()) return Annotate(tokenizer.status(), "data.tokenizer");
    return tokenizer;
  }
  if (request.tokenizer != "bpe") {
    return absl::InvalidArgumentError(absl::StrCat("data.tokenizer: '", request.tokenizer,
                                                   "' does not turn text into tokens; there are: bytes, bpe, or the "
                                                   "path of a SentencePiece model, which ends in .model"));
  }
  TokenizerTraining training;
  training.files = train_files;
  training.field = request.field;
  training.vocabulary = request.vocabulary.value_or(kBpeVocabulary);
  training.skip = is_held_out;
  training.head = head;
  STOWAGE_ASSIGN_OR_RETURN(const std::string model, TrainTokenizer(training));
  return MakeTokenizer("sentencepiece", model);
}

absl::StatusOr<std::unique_ptr<Tokenizer>> ReadPreparedTokenizer(const std::string& folder, const PreparedData& data) {
  if (data.tokenizer == "bytes") return MakeTokenizer("bytes", "");
  if (data.tokenizer != "bpe" && data.tokenizer != "sentencepiece") {
    return absl::FailedPreconditionError(absl::StrCat(folder, "/", kDataMeta, ": its tokenizer, '", data.tokenizer,
                                                      "', is not one that this program knows"));
  }
  auto tokenizer = ReadTokenizer(absl::StrCat(folder, "/", kTokenizerModel));
  if (!tokenizer.ok()) return absl::DataLossError(tokenizer.status().message());
  if ((*tokenizer)->fingerprint() != data.tokenizer_fingerprint) {
    return absl::DataLossError(absl::StrCat(
        folder, "/", kTokenizerModel, ": is not the model that meta.json tells of (", (*tokenizer)->fingerprint(),
        " here, ", data.tokenizer_fingerprint, " there); prepare the folder again"));
  }
  return tokenizer;
}

}  // namespace stowage
