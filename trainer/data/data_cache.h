// Where prepared shards lie between runs: one folder per source and way of preparing it.
//
// The folder's name hashes what the shards depend on: the built-in's name, or the files' absolute paths, sizes and
// modification times; format, field, tokenizer (with its vocabulary,
// or its model's path, size and time) and validation_fraction. So a changed file or option is prepared anew,
// and old folders stay until someone deletes them; deleting any of it is always safe.
#ifndef STOWAGE_TRAINER_DATA_DATA_CACHE_H_
#define STOWAGE_TRAINER_DATA_DATA_CACHE_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainer/config/config.h"

namespace stowage {

// data.cache, else $XDG_CACHE_HOME/stowage/data, else ~/.cache/stowage/data. FailedPrecondition: neither is set.
absl::StatusOr<std::string> DataCacheFolder(const DataConfig& config);

// The folder in the cache for this source or these text files; it need not exist yet.
// InvalidArgument: unknown source. NotFound and the like: a file.
absl::StatusOr<std::string> PreparedFolderFor(const DataConfig& config);

// Makes `folder` complete, unless it is by the time the lock is held: `check` (OK; or NotFound or DataLoss, which mean
// prepare; or another error, which is returned) is asked again under the lock. Any number of processes may call it at
// once: one prepares, the others wait. `say` gets a line when something takes time or was damaged.
absl::Status PrepareInCache(const DataConfig& config, const std::string& folder,
                            const std::function<absl::Status()>& check,
                            const std::function<void(const std::string&)>& say);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_DATA_CACHE_H_
