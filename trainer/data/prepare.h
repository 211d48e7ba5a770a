// Text to token shards: train.stow, validation.stow, tokenizer.model (of a tokenizer that has a model) and meta.json in
// one folder.
//
// Documents follow each other, each with the tokenizer's end_of_document after it. Streams: about 10 MiB of buffers
// (and a JSONL line), whatever the input's size.
//
// What is held out, where no validation files are given and validation_fraction f > 0:
//   many documents (at least 10 / f of them)   document d, counted from 0 over all files, is held out if
//                                              HashKey({0x73706c6974, d}) < f * 2^64: the same ones every time
//   fewer                                      the last floor(f * tokens) tokens of all, in one piece, which may begin
//                                              inside a document
//
// A tokenizer that is learned learns from the training files, without the held out documents; where the end is held
// out, from the first 1 - f of the text's bytes.
//
// Shards are written aside, synced and renamed; meta.json, with their checksums, comes last. A folder is complete if
// it has a meta.json and the shards agree with it; an interrupted call leaves none.
#ifndef STOWAGE_TRAINER_DATA_PREPARE_H_
#define STOWAGE_TRAINER_DATA_PREPARE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainer/data/data_format.h"
#include "trainer/data/token_shard_writer.h"

namespace stowage {

inline constexpr char kTrainShard[] = "train.stow";
inline constexpr char kValidationShard[] = "validation.stow";
inline constexpr char kDataMeta[] = "meta.json";
inline constexpr int64_t kBpeVocabulary = 8192;  // of a learned tokenizer, unless asked otherwise

struct PrepareRequest {
  std::vector<std::string> train;       // text or JSONL files, in this order
  std::vector<std::string> validation;  // the same; empty: split off
  std::string format = "auto";          // auto | text | jsonl
  std::string field = "text";           // of a JSONL object
  std::string tokenizer = "bytes";      // bytes | bpe | path of a SentencePiece model (.model)
  std::optional<int64_t> vocabulary;    // bpe: tokens to learn; none: kBpeVocabulary
  double validation_fraction = 0.1;     // in [0, 1)
  std::string source;                   // for meta.json; empty: the files' paths
  std::string output;                   // folder; made if missing
  bool replace = false;                 // a complete folder is made anew; else it is an error

  // Called after each piece read (about 1 MiB); no more than a counter's cost is expected of it.
  std::function<void(int64_t bytes_done, int64_t bytes_total)> progress;
};

// What meta.json says.
struct PreparedData {
  std::string source;
  std::string tokenizer;              // "bytes", "bpe"; "sentencepiece": a model made elsewhere
  std::string tokenizer_fingerprint;  // Tokenizer::fingerprint(); empty for "bytes"
  int64_t vocabulary = 0;
  int64_t documents = 0;
  std::string split;  // none | given | documents | tail
  ShardInfo train;
  std::optional<ShardInfo> validation;
};

// InvalidArgument: the request, or a line or byte of the input (named). AlreadyExists: `output` is complete.
// FailedPrecondition: another process prepares that folder now. ResourceExhausted: the disk is full.
// Blocks for as long as it takes: some 100 MB/s with the byte tokenizer, some 2 MB/s with others.
absl::StatusOr<PreparedData> PrepareData(const PrepareRequest& request);

// Reads the meta.json of a prepared folder. NotFound: there is none. DataLoss: it is damaged, or a shard is missing
// or not the one it was written with (sizes and headers' checksums are compared; the tokens when they are opened).
absl::StatusOr<PreparedData> ReadPrepared(const std::string& folder);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_PREPARE_H_
