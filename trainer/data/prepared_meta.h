// meta.json of a prepared folder, to text and back. For prepare.cc. Pure functions of their arguments and files.
#ifndef STOWAGE_TRAINER_DATA_PREPARED_META_H_
#define STOWAGE_TRAINER_DATA_PREPARED_META_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainer/data/prepare.h"

namespace stowage {

std::string MetaToJson(const PreparedData& data);

// DataLoss: not JSON, or a key is missing or of another type. FailedPrecondition: of a newer version.
absl::StatusOr<PreparedData> MetaFromJson(const std::string& text);

// DataLoss: the shard at `path` is missing, or not the one that `info` tells of (size, checksum in its header).
absl::Status CheckShard(const std::string& path, const ShardInfo& info);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_PREPARED_META_H_
