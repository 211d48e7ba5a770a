// Learns a SentencePiece model from the documents of text files: byte-pair encoding with a piece for every byte.
//
// Vocabulary: id 0 unknown (never met: bytes stand for what is unknown), 1 beginning and 2 end of a document, 3 to 258
// the bytes, then the pieces learned and the characters of the text, up to the number asked for. Characters that make
// up the rarest 0.05 % of the text are left to bytes. Text is not normalised, and no space is put in front of it.
//
// Source: Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword Units", arXiv:1508.07909,
// in the SentencePiece library.
#ifndef STOWAGE_TRAINER_DATA_TOKENIZERS_TRAIN_TOKENIZER_H_
#define STOWAGE_TRAINER_DATA_TOKENIZERS_TRAIN_TOKENIZER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "trainer/data/data_format.h"

namespace stowage {

struct TokenizerTraining {
  // 64 MiB hold ten million words: more change the pieces little, and cost memory (some five times the text) and time.
  static constexpr int64_t kTextBytes = int64_t{64} << 20;

  std::vector<std::pair<std::string, DataFormat>> files;  // of text, in this order
  std::string field;                                      // of a JSONL object
  int64_t vocabulary = 0;
  std::function<bool(int64_t document)> skip;  // whether document number d, from 0 over all files, is held out; or null
  double head = 1.0;                           // the share of the text's bytes, from the front, to learn from
  int64_t text_bytes = kTextBytes;             // of more, lines are chosen by a hash of their number
};

// The serialized model; the same files and numbers give the same bytes. InvalidArgument: the text is too little or too
// varied for the vocabulary (the bound that it allows is named), or holds nothing to learn from. Else as
// DocumentReader. Takes a second for 2 MB of text.
absl::StatusOr<std::string> TrainTokenizer(const TokenizerTraining& training);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_TOKENIZERS_TRAIN_TOKENIZER_H_
