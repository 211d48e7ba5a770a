// From the `data:` section to datasets that can be read, preparing what is not prepared yet.
#ifndef STOWAGE_TRAINER_DATA_OPEN_DATA_H_
#define STOWAGE_TRAINER_DATA_OPEN_DATA_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "trainer/config/config.h"
#include "trainer/data/dataset.h"

namespace stowage {

struct Data {
  std::unique_ptr<Dataset> train;
  std::unique_ptr<Dataset> validation;  // null if there is none
};

// Turns a built-in source or text files into token shards in the cache, under a lock, unless they are there already
// and whole; then opens them. Every rank may call it at once: one prepares, the others wait for the lock and find
// it done. `say` gets one line now and then (progress of a long preparation).
// NotFound / InvalidArgument / DataLoss: what was asked, what was found, what to change.
absl::StatusOr<Data> OpenData(const DataConfig& config, int64_t context,
                              const std::function<void(const std::string&)>& say);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_OPEN_DATA_H_
