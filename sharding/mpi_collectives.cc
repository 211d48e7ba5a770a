#include "sharding/mpi_collectives.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "kernels/accumulate.h"

namespace stowage {
namespace {

// With many peers a piece shrinks so that all peers' pieces fit the scratch;
// below this a message is all latency.
constexpr int64_t kSmallestPieceBytes = 4096;
constexpr int64_t kScratchPieces = 4;

// Texts up to this long travel in one message, with their length: an
// agreement's words need about 50 bytes.
constexpr int64_t kShortTextBytes = 248;
struct TextRecord {
  int64_t bytes;
  char text[kShortTextBytes];
};

// How much of a part of `bytes` a round that starts at `low` moves.
int64_t PieceOf(int64_t bytes, int64_t low, int64_t piece) {
  return std::max<int64_t>(0, std::min(bytes - low, piece));
}

} // namespace

MpiCollectives::MpiCollectives(MPI_Comm comm, int rank, int world_size,
                               int64_t piece_bytes, MpiWaiter &waiter)
    : comm_(comm), rank_(rank), world_size_(world_size),
      piece_bytes_(piece_bytes), waiter_(waiter) {
  STOWAGE_CHECK(piece_bytes >= 8 && piece_bytes % 8 == 0 &&
                piece_bytes <= MpiExchange::kMaxBytes)
      << piece_bytes;
}

absl::Status MpiCollectives::Play(const CollectiveRequest &request) {
  const Parts parts = PartsOf(request);
  const char *in = static_cast<const char *>(request.in);
  char *out = static_cast<char *>(request.out);
  absl::Status status;
  switch (request.kind) {
  case CollectiveKind::kReduceScatter:
    status = ReduceScatter(request, parts, in, out);
    break;
  case CollectiveKind::kAllGather:
    status = AllGather(request, parts, in, out);
    break;
  case CollectiveKind::kAllReduce:
    status = ReduceScatter(request, parts, in, out + parts.begin[rank_]);
    if (status.ok())
      status = AllGather(request, parts, out + parts.begin[rank_], out);
    break;
  case CollectiveKind::kAllToAll:
    status = AllToAll(request);
    break;
  case CollectiveKind::kBroadcast:
    status = Broadcast(request);
    break;
  case CollectiveKind::kBarrier:
    status = Barrier(request);
    break;
  case CollectiveKind::kExchangeText:
    STOWAGE_CHECK(false) << "exchange_text has its own function";
  }
  ++sequence_;
  return status;
}

MpiCollectives::Parts
MpiCollectives::PartsOf(const CollectiveRequest &request) const {
  const int64_t element = DTypeBytes(request.dtype);
  const bool divided = request.kind == CollectiveKind::kAllReduce;
  const Cut cut(request.numel, world_size_);
  Parts parts;
  for (int rank = 0; rank < world_size_; ++rank) {
    parts.begin.push_back(
        (divided ? cut.begin(rank) : request.PartBegin(rank)) * element);
    parts.bytes.push_back((divided ? cut.size(rank) : request.PartNumel(rank)) *
                          element);
    parts.largest = std::max(parts.largest, parts.bytes.back());
  }
  return parts;
}

MpiExchange MpiCollectives::Exchange(const CollectiveRequest &request) const {
  return MpiExchange(comm_, waiter_, rank_, static_cast<int>(request.kind),
                     sequence_, request.ToString());
}

absl::Status MpiCollectives::ReduceScatter(const CollectiveRequest &request,
                                           const Parts &parts,
                                           const char *whole, char *out) {
  const int64_t mine = parts.bytes[rank_];
  const char *own = whole + parts.begin[rank_];
  if (world_size_ == 1) {
    if (out != own && mine > 0)
      std::memcpy(out, own, mine);
    return absl::OkStatus();
  }
  const int64_t fair =
      piece_bytes_ * kScratchPieces / (world_size_ - 1) / 8 * 8;
  const int64_t piece =
      std::min(piece_bytes_, std::max(fair, kSmallestPieceBytes));
  scratch_.resize((world_size_ - 1) * std::min(piece, parts.largest));
  const int64_t stride = std::min(piece, parts.largest);
  MpiExchange exchange = Exchange(request);
  for (int64_t low = 0; low < parts.largest; low += piece) {
    const int64_t bytes = PieceOf(mine, low, piece);
    std::vector<const void *> summands(world_size_, own + low);
    for (int step = 1; step < world_size_; ++step) {
      const int from = (rank_ - step + world_size_) % world_size_;
      char *place = scratch_.data() + (step - 1) * stride;
      summands[from] = place;
      STOWAGE_RETURN_IF_ERROR(exchange.Receive(place, bytes, from));
    }
    // Each rank starts with its right neighbour, so that no rank is everybody's
    // first.
    for (int step = 1; step < world_size_; ++step) {
      const int to = (rank_ + step) % world_size_;
      const int64_t out_bytes = PieceOf(parts.bytes[to], low, piece);
      STOWAGE_RETURN_IF_ERROR(
          exchange.Send(whole + parts.begin[to] + low, out_bytes, to));
      bytes_sent_ += out_bytes;
    }
    STOWAGE_RETURN_IF_ERROR(exchange.Finish());
    if (bytes > 0) {
      kernels::ReduceInOrder(request.op, summands, out + low,
                             bytes / DTypeBytes(request.dtype), request.dtype);
    }
  }
  return absl::OkStatus();
}

absl::Status MpiCollectives::AllGather(const CollectiveRequest &request,
                                       const Parts &parts, const char *mine,
                                       char *whole) {
  char *own = whole + parts.begin[rank_];
  if (own != mine && parts.bytes[rank_] > 0)
    std::memcpy(own, mine, parts.bytes[rank_]);
  MpiExchange exchange = Exchange(request);
  for (int64_t low = 0; low < parts.largest; low += piece_bytes_) {
    for (int step = 1; step < world_size_; ++step) {
      const int from = (rank_ - step + world_size_) % world_size_;
      const int64_t bytes = PieceOf(parts.bytes[from], low, piece_bytes_);
      STOWAGE_RETURN_IF_ERROR(
          exchange.Receive(whole + parts.begin[from] + low, bytes, from));
    }
    const int64_t bytes = PieceOf(parts.bytes[rank_], low, piece_bytes_);
    for (int step = 1; step < world_size_; ++step) {
      STOWAGE_RETURN_IF_ERROR(
          exchange.Send(own + low, bytes, (rank_ + step) % world_size_));
      bytes_sent_ += bytes;
    }
    STOWAGE_RETURN_IF_ERROR(exchange.Finish());
  }
  return absl::OkStatus();
}

absl::Status MpiCollectives::AllToAll(const CollectiveRequest &request) {
  const char *in = static_cast<const char *>(request.in);
  char *out = static_cast<char *>(request.out);
  const int64_t part = request.numel * DTypeBytes(request.dtype);
  if (part > 0)
    std::memcpy(out + rank_ * part, in + rank_ * part, part);
  MpiExchange exchange = Exchange(request);
  for (int64_t low = 0; low < part; low += piece_bytes_) {
    const int64_t bytes = PieceOf(part, low, piece_bytes_);
    for (int step = 1; step < world_size_; ++step) {
      const int from = (rank_ - step + world_size_) % world_size_;
      STOWAGE_RETURN_IF_ERROR(
          exchange.Receive(out + from * part + low, bytes, from));
    }
    for (int step = 1; step < world_size_; ++step) {
      const int to = (rank_ + step) % world_size_;
      STOWAGE_RETURN_IF_ERROR(exchange.Send(in + to * part + low, bytes, to));
      bytes_sent_ += bytes;
    }
    STOWAGE_RETURN_IF_ERROR(exchange.Finish());
  }
  return absl::OkStatus();
}

absl::Status MpiCollectives::Broadcast(const CollectiveRequest &request) {
  char *data = static_cast<char *>(request.out);
  for (int64_t low = 0; low < request.numel; low += piece_bytes_) {
    const int64_t bytes = PieceOf(request.numel, low, piece_bytes_);
    std::vector<MPI_Request> requests(1);
    const int result = MPI_Ibcast(data + low, static_cast<int>(bytes), MPI_BYTE,
                                  request.root, comm_, requests.data());
    STOWAGE_RETURN_IF_ERROR(
        MpiStatus(result, "MPI_Ibcast", rank_, request.ToString()));
    STOWAGE_RETURN_IF_ERROR(
        waiter_.WaitAll(requests, rank_, request.ToString()));
  }
  // Counted as if the root sent to each; MPI passes it on along a tree.
  if (rank_ == request.root)
    bytes_sent_ += (world_size_ - 1) * request.numel;
  return absl::OkStatus();
}

absl::Status MpiCollectives::Barrier(const CollectiveRequest &request) {
  std::vector<MPI_Request> requests(1);
  STOWAGE_RETURN_IF_ERROR(MpiStatus(MPI_Ibarrier(comm_, requests.data()),
                                    "MPI_Ibarrier", rank_, request.ToString()));
  return waiter_.WaitAll(requests, rank_, request.ToString());
}

absl::StatusOr<std::vector<std::string>>
MpiCollectives::ExchangeText(absl::string_view mine) {
  CollectiveRequest request;
  request.kind = CollectiveKind::kExchangeText;
  TextRecord record = {};
  record.bytes = static_cast<int64_t>(mine.size());
  if (record.bytes > 0)
    std::memcpy(record.text, mine.data(),
                std::min(record.bytes, kShortTextBytes));
  std::vector<TextRecord> records(world_size_);
  std::vector<MPI_Request> requests(1);
  const int result =
      MPI_Iallgather(&record, sizeof(record), MPI_BYTE, records.data(),
                     sizeof(record), MPI_BYTE, comm_, requests.data());
  STOWAGE_RETURN_IF_ERROR(
      MpiStatus(result, "MPI_Iallgather", rank_, request.ToString()));
  STOWAGE_RETURN_IF_ERROR(waiter_.WaitAll(requests, rank_, request.ToString()));

  // The long ones' texts, whole, one after another.
  Parts parts;
  int64_t end = 0;
  for (const TextRecord &theirs : records) {
    parts.begin.push_back(end);
    parts.bytes.push_back(theirs.bytes > kShortTextBytes ? theirs.bytes : 0);
    parts.largest = std::max(parts.largest, parts.bytes.back());
    end += parts.bytes.back();
  }
  std::string texts(end, '\0');
  STOWAGE_RETURN_IF_ERROR(AllGather(request, parts, mine.data(), &texts[0]));
  bytes_sent_ += (world_size_ - 1) * std::min(record.bytes, kShortTextBytes);
  ++sequence_;

  std::vector<std::string> result_by_rank;
  for (int rank = 0; rank < world_size_; ++rank) {
    const int64_t bytes = records[rank].bytes;
    result_by_rank.push_back(bytes > kShortTextBytes
                                 ? texts.substr(parts.begin[rank], bytes)
                                 : std::string(records[rank].text, bytes));
  }
  return result_by_rank;
}

} // namespace stowage
