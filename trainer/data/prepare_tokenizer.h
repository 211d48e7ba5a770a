// The tokenizer that a preparation asks for, learned or read; and the one that a prepared folder holds. For prepare.cc
// and open_tokens.cc.
#ifndef STOWAGE_TRAINER_DATA_PREPARE_TOKENIZER_H_
#define STOWAGE_TRAINER_DATA_PREPARE_TOKENIZER_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "trainer/data/data_format.h"
#include "trainer/data/prepare.h"
#include "trainer/data/tokenizers/tokenizer.h"

namespace stowage {

// What meta.json calls a tokenizer of that request: "bytes", "bpe", or "sentencepiece" for a model made elsewhere.
std::string TokenizerWord(const PrepareRequest& request);

// bpe: learned from the training files' text, without what is held out by `is_held_out` (null: nothing is) or beyond
// the share `head` of the text. InvalidArgument: as TrainTokenizer; a vocabulary for another tokenizer; "none".
absl::StatusOr<std::unique_ptr<Tokenizer>> MakeRequestedTokenizer(
    const PrepareRequest& request, const std::vector<std::pair<std::string, DataFormat>>& train_files,
    const std::function<bool(int64_t document)>& is_held_out, double head);

// The tokenizer of a folder whose meta.json says `data`. DataLoss: its model is missing or not the one of meta.json.
// FailedPrecondition: of a kind that this program does not know.
absl::StatusOr<std::unique_ptr<Tokenizer>> ReadPreparedTokenizer(const std::string& folder, const PreparedData& data);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_PREPARE_TOKENIZER_H_
