// From the `data:` section to datasets that can be read, preparing what is not prepared yet.
#ifndef STOWAGE_TRAINER_DATA_OPEN_DATA_H_
#define STOWAGE_TRAINER_DATA_OPEN_DATA_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "trainer/config/config.h"
#include "trainer/data/dataset.h"
#include "trainer/data/tokenizers/tokenizer.h"

namespace stowage {

struct Data {
  std::unique_ptr<Dataset> train;
  std::unique_ptr<Dataset> validation;  // null if there is none
  // What turns text into the tokens; null: the data is no tokens, or it is not known what they stand for. Shared,
  // because a run keeps it for its checkpoints and prompts after the data is closed.
  std::shared_ptr<const Tokenizer> tokenizer;
};

// Opens what the section names. Tokens come in windows of `context`:
//   source               a built-in text: prepared in the cache; or built-in images: read as they are
//   train, validation    text or JSONL files: prepared in the cache (with no validation files a part is split off)
//                        token files: read as they are (no validation files: no validation set)
//                        one folder made by PrepareData, as train: both of its shards
//                        images with labels, tables, tensors (samples/): read as they are, in the shape data.view
//                        (with no validation files a part is split off)
// Paths may be patterns (data/train_*.bin). `vocabulary` is model.vocabulary where the config sets it, else 0: every
// token must be below it; files that do not say (nanogpt) are not checked with 0, and their dataset's
// shape().vocabulary is 0.
//
// What is prepared goes to the cache (data_cache.h), under a lock, unless it is there already and whole. Every rank may
// call it at once: one prepares, the others wait for the lock and find it done. `say` gets one line now and then
// (progress of a long preparation, waiting, a damaged cache made anew).
// NotFound / InvalidArgument / DataLoss / FailedPrecondition / ResourceExhausted: what was asked, what was found, what
// to change.
absl::StatusOr<Data> OpenData(const DataConfig& config, int64_t context, int64_t vocabulary,
                              const std::function<void(const std::string&)>& say);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_OPEN_DATA_H_
