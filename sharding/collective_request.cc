#include "sharding/collective_request.h"

#include "absl/strings/str_cat.h"

namespace stowage {
namespace {

bool HasSum(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kBFloat16 || dtype == DType::kFloat64 || dtype == DType::kInt64;
}

absl::Status CheckShardBuffers(const CollectiveRequest& request, const char* shard, const char* whole, int rank,
                               int world_size) {
  const int64_t shard_bytes = request.numel * DTypeBytes(request.dtype);
  const bool in_place = shard == whole + rank * shard_bytes;
  const bool apart = shard + shard_bytes <= whole || whole + shard_bytes * world_size <= shard;
  if (in_place || apart) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(request.ToString(), ": the shard overlaps the whole elsewhere than at this rank's part (byte ",
                   rank * shard_bytes, "); give that part itself, or memory of its own"));
}

}  // namespace

absl::string_view CollectiveName(CollectiveKind kind) {
  switch (kind) {
    case CollectiveKind::kReduceScatter:
      return "reduce_scatter";
    case CollectiveKind::kAllGather:
      return "all_gather";
    case CollectiveKind::kAllReduce:
      return "all_reduce";
    case CollectiveKind::kBroadcast:
      return "broadcast";
    case CollectiveKind::kExchangeText:
      return "exchange_text";
    case CollectiveKind::kBarrier:
      return "barrier";
  }
  return "?";
}

std::string CollectiveRequest::ToString() const {
  switch (kind) {
    case CollectiveKind::kExchangeText:
    case CollectiveKind::kBarrier:
      return std::string(CollectiveName(kind));
    case CollectiveKind::kBroadcast:
      return absl::StrCat("broadcast of ", numel, " bytes from rank ", root);
    default:
      return absl::StrCat(CollectiveName(kind), " of ", numel, " ", DTypeName(dtype));
  }
}

absl::Status CheckRequest(const CollectiveRequest& request, int rank, int world_size) {
  if (request.kind == CollectiveKind::kExchangeText || request.kind == CollectiveKind::kBarrier) {
    return absl::OkStatus();
  }
  if (request.numel < 0) return absl::InvalidArgumentError(absl::StrCat(request.ToString(), ": negative size"));
  if (request.numel > 0 && (request.in == nullptr || request.out == nullptr)) {
    return absl::InvalidArgumentError(absl::StrCat(request.ToString(), ": null buffer"));
  }
  const bool sums = request.kind == CollectiveKind::kReduceScatter || request.kind == CollectiveKind::kAllReduce;
  if (sums && !HasSum(request.dtype)) {
    return absl::InvalidArgumentError(
        absl::StrCat(request.ToString(), ": ranks can sum F32, BF16, F64 and I64; cast first"));
  }
  if (request.kind == CollectiveKind::kBroadcast && (request.root < 0 || request.root >= world_size)) {
    return absl::InvalidArgumentError(
        absl::StrCat(request.ToString(), ": the ranks of this group are 0 to ", world_size - 1));
  }
  const char* in = static_cast<const char*>(request.in);
  const char* out = static_cast<const char*>(request.out);
  if (request.kind == CollectiveKind::kReduceScatter) return CheckShardBuffers(request, out, in, rank, world_size);
  if (request.kind == CollectiveKind::kAllGather) return CheckShardBuffers(request, in, out, rank, world_size);
  return absl::OkStatus();
}

}  // namespace stowage
