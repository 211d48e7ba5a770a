#include "sharding/collective_request.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"

namespace stowage {
namespace {

bool IsInteger(DType dtype) {
  return dtype == DType::kInt32 || dtype == DType::kInt64;
}

bool IsFloat(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kBFloat16 ||
         dtype == DType::kFloat16 || dtype == DType::kFloat64;
}

absl::Status CheckReduction(const CollectiveRequest &request) {
  if (IsFloat(request.dtype))
    return absl::OkStatus();
  if (!IsInteger(request.dtype)) {
    return absl::InvalidArgumentError(absl::StrCat(
        request.ToString(),
        ": ranks can reduce F32, BF16, F16, F64, I32 and I64; cast first"));
  }
  if (request.op != Reduction::kMean)
    return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(request.ToString(),
                   ": integers have no mean here; take the sum and divide"));
}

bool Apart(const char *a, int64_t a_bytes, const char *b, int64_t b_bytes) {
  return a + a_bytes <= b || b + b_bytes <= a;
}

absl::Status CheckShardBuffers(const CollectiveRequest &request,
                               const char *shard, const char *whole, int rank,
                               int world_size) {
  const int64_t element = DTypeBytes(request.dtype),
                begin = request.PartBegin(rank) * element;
  const bool in_place = shard == whole + begin;
  if (in_place || Apart(shard, request.PartNumel(rank) * element, whole,
                        request.PartBegin(world_size) * element)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(request.ToString(),
                   ": the shard overlaps the whole elsewhere than at this "
                   "rank's part (byte ",
                   begin, "); give that part itself, or memory of its own"));
}

absl::Status CheckSizes(const CollectiveRequest &request, int world_size) {
  bool negative = request.numel < 0;
  for (int64_t numel : request.numels)
    negative = negative || numel < 0;
  if (negative)
    return absl::InvalidArgumentError(
        absl::StrCat(request.ToString(), ": negative size"));
  if (request.numels.empty() ||
      static_cast<int>(request.numels.size()) == world_size)
    return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(request.ToString(), ": a size for each of ", world_size,
                   " ranks is wanted"));
}

} // namespace

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
  case CollectiveKind::kAllToAll:
    return "all_to_all";
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
  case CollectiveKind::kAllGather:
    if (!numels.empty())
      return absl::StrCat("all_gather of [", absl::StrJoin(numels, ", "), "] ",
                          DTypeName(dtype));
    return absl::StrCat("all_gather of ", numel, " ", DTypeName(dtype));
  default:
    return absl::StrCat(
        CollectiveName(kind),
        op == Reduction::kSum ? "" : absl::StrCat(" (", ReductionName(op), ")"),
        " of ", numel, " ", DTypeName(dtype));
  }
}

int64_t CollectiveRequest::PartBegin(int peer) const {
  if (numels.empty())
    return peer * numel;
  int64_t begin = 0;
  for (int before = 0; before < peer; ++before)
    begin += numels[before];
  return begin;
}

absl::Status CheckRequest(const CollectiveRequest &request, int rank,
                          int world_size) {
  if (request.kind == CollectiveKind::kExchangeText ||
      request.kind == CollectiveKind::kBarrier) {
    return absl::OkStatus();
  }
  STOWAGE_RETURN_IF_ERROR(CheckSizes(request, world_size));
  // Of parts that differ, one's own may be empty.
  const bool brings = request.PartNumel(rank) > 0,
             gets = request.PartBegin(world_size) > 0;
  if ((brings && request.in == nullptr) || (gets && request.out == nullptr)) {
    return absl::InvalidArgumentError(
        absl::StrCat(request.ToString(), ": null buffer"));
  }
  const bool reduces = request.kind == CollectiveKind::kReduceScatter ||
                       request.kind == CollectiveKind::kAllReduce;
  if (reduces)
    STOWAGE_RETURN_IF_ERROR(CheckReduction(request));
  if (request.kind == CollectiveKind::kBroadcast &&
      (request.root < 0 || request.root >= world_size)) {
    return absl::InvalidArgumentError(
        absl::StrCat(request.ToString(), ": the ranks of this group are 0 to ",
                     world_size - 1));
  }
  const char *in = static_cast<const char *>(request.in);
  const char *out = static_cast<const char *>(request.out);
  if (request.kind == CollectiveKind::kReduceScatter)
    return CheckShardBuffers(request, out, in, rank, world_size);
  if (request.kind == CollectiveKind::kAllGather)
    return CheckShardBuffers(request, in, out, rank, world_size);
  const int64_t all_bytes =
      request.numel * DTypeBytes(request.dtype) * world_size;
  if (request.kind == CollectiveKind::kAllToAll &&
      !Apart(in, all_bytes, out, all_bytes)) {
    return absl::InvalidArgumentError(absl::StrCat(
        request.ToString(), ": what goes out overlaps what comes in"));
  }
  return absl::OkStatus();
}

absl::Status CheckMessage(absl::string_view call, const void *data,
                          int64_t bytes, int peer, int rank, int world_size) {
  const auto bad = [&](absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat(call, " of ", bytes, " bytes, rank ", rank, " with rank ",
                     peer, ": ", what));
  };
  if (bytes < 0)
    return bad("negative size");
  if (bytes > 0 && data == nullptr)
    return bad("null buffer");
  if (peer == rank)
    return bad("a rank has no messages for itself");
  if (peer < 0 || peer >= world_size)
    return bad(
        absl::StrCat("the ranks of this group are 0 to ", world_size - 1));
  return absl::OkStatus();
}

} // namespace stowage
