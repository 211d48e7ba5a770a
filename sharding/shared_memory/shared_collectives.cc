#include "sharding/shared_memory/shared_collectives.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/accumulate.h"

namespace stowage {
namespace {

// FNV-1a: only to compare calls of one program with itself.
uint64_t HashOf(const std::string& text) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

void Copy(char* to, const char* from, int64_t bytes) {
  if (bytes > 0 && to != from) std::memcpy(to, from, bytes);
}

// How much of a part of `bytes` the round that starts at `low` moves.
int64_t PieceOf(int64_t bytes, int64_t low, int64_t piece) {
  return std::max<int64_t>(0, std::min(bytes - low, piece));
}

int64_t LargestOf(const std::vector<int64_t>& sizes) { return *std::max_element(sizes.begin(), sizes.end()); }

}  // namespace

absl::Status SharedCollectives::Play(const CollectiveRequest& request) {
  STOWAGE_RETURN_IF_ERROR(Begin(request, 0));
  STOWAGE_RETURN_IF_ERROR(Move(request));
  return group_.Synchronize(during_);
}

SharedCollectives::Parts SharedCollectives::PartsOf(const CollectiveRequest& request) const {
  const int64_t element = DTypeBytes(request.dtype);
  const bool divided = request.kind == CollectiveKind::kAllReduce;
  const Cut cut(request.numel, group_.world_size());
  Parts parts;
  for (int rank = 0; rank < group_.world_size(); ++rank) {
    parts.push_back({(divided ? cut.begin(rank) : request.PartBegin(rank)) * element,
                     (divided ? cut.size(rank) : request.PartNumel(rank)) * element});
  }
  return parts;
}

absl::Status SharedCollectives::Begin(const CollectiveRequest& request, int64_t text_bytes) {
  STOWAGE_RETURN_IF_ERROR(group_.Health());
  during_ = request.ToString();
  const int64_t element = DTypeBytes(request.dtype);
  const int64_t all = request.PartBegin(group_.world_size()) * element;
  const bool whole_in = request.kind == CollectiveKind::kReduceScatter || request.kind == CollectiveKind::kAllToAll;
  const int64_t mine = request.PartNumel(group_.rank()) * element;
  PostedCall& call = group_.control(group_.rank()).call;
  call.hash = HashOf(during_);
  call.text_bytes = text_bytes;
  call.in = regions_.Find(request.in, whole_in ? all : mine);
  call.out = regions_.Find(request.out, request.kind == CollectiveKind::kAllGather ? all : mine);
  const size_t length = std::min<size_t>(during_.size(), PostedCall::kTextBytes - 1);
  std::memcpy(call.text, during_.data(), length);
  call.text[length] = '\0';
  STOWAGE_RETURN_IF_ERROR(group_.Synchronize(during_));
  const PostedCall& first = group_.control(0).call;
  for (int peer = 1; peer < group_.world_size(); ++peer) {
    const PostedCall& other = group_.control(peer).call;
    if (other.hash == first.hash) continue;
    absl::Status status = absl::InvalidArgumentError(absl::StrCat("ranks disagree on what to do: rank 0 calls ",
                                                                  first.text, ", rank ", peer, " calls ", other.text));
    group_.End(status);
    return status;
  }
  return absl::OkStatus();
}

bool SharedCollectives::InIsShared() const {
  for (int rank = 0; rank < group_.world_size(); ++rank) {
    const SharedPlace& in = group_.control(rank).call.in;
    if (in.region == 0 || regions_.IsCommon(in.region)) return false;
  }
  return true;
}

bool SharedCollectives::OutIsCommon() const {
  const SharedPlace first = group_.control(0).call.out;
  if (!regions_.IsCommon(first.region)) return false;
  for (int rank = 1; rank < group_.world_size(); ++rank) {
    const SharedPlace& out = group_.control(rank).call.out;
    if (out.region != first.region || out.offset != first.offset) return false;
  }
  return true;
}

absl::Status SharedCollectives::Move(const CollectiveRequest& request) {
  const int64_t peers = group_.world_size() - 1;
  const int64_t bytes = request.numel * DTypeBytes(request.dtype);
  const Parts parts = PartsOf(request);
  const Part own = parts[group_.rank()];
  char* const out = static_cast<char*>(request.out);
  switch (request.kind) {
    case CollectiveKind::kReduceScatter:
      bytes_sent_ += peers * bytes;
      return ReduceScatter(request, parts, out);
    case CollectiveKind::kAllGather:
      bytes_sent_ += peers * own.bytes;
      return AllGather(request, parts, static_cast<const char*>(request.in), out);
    case CollectiveKind::kAllReduce:
      // The peers' parts go to their owners, then this rank's sum goes to all peers.
      bytes_sent_ += bytes + (peers - 1) * own.bytes;
      STOWAGE_RETURN_IF_ERROR(ReduceScatter(request, parts, out + own.begin));
      STOWAGE_RETURN_IF_ERROR(group_.Synchronize(during_));
      if (InIsShared()) {
        CopyPeersParts(parts, out);
        return absl::OkStatus();
      }
      return AllGather(request, parts, out + own.begin, out);
    case CollectiveKind::kAllToAll:
      bytes_sent_ += peers * bytes;
      return AllToAll(request, parts);
    case CollectiveKind::kBroadcast:
      if (group_.rank() == request.root) bytes_sent_ += peers * bytes;
      return Broadcast(request);
    case CollectiveKind::kExchangeText:
    case CollectiveKind::kBarrier:
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

void SharedCollectives::ReduceShared(const CollectiveRequest& request, Part part, char* out) const {
  if (part.bytes == 0) return;
  std::vector<const void*> summands;
  for (int rank = 0; rank < group_.world_size(); ++rank) {
    summands.push_back(regions_.Resolve(group_.control(rank).call.in, rank) + part.begin);
  }
  kernels::ReduceInOrder(request.op, summands, out, part.bytes / DTypeBytes(request.dtype), request.dtype);
}

void SharedCollectives::CopyPeersParts(const Parts& parts, char* whole) const {
  for (int step = 1; step < group_.world_size(); ++step) {
    const int peer = (group_.rank() + step) % group_.world_size();
    const char* from = regions_.Resolve(group_.control(peer).call.in, peer);
    Copy(whole + parts[peer].begin, from + parts[peer].begin, parts[peer].bytes);
  }
}

absl::Status SharedCollectives::PassParts(const CollectiveRequest& request, const Parts& parts, const char* whole,
                                          const Take& take) {
  const int world_size = group_.world_size();
  const int rank = group_.rank();
  // A whole number of elements and cache lines.
  const int64_t piece = group_.layout().slot_bytes / world_size / 64 * 64;
  int64_t largest = 0;
  for (const Part& part : parts) largest = std::max(largest, part.bytes);
  std::vector<const char*> from(world_size, nullptr);
  for (int64_t low = 0, round = 0; low < largest; low += piece, ++round) {
    char* const slot = group_.slot(rank, round);
    for (int step = 1; step < world_size; ++step) {
      const int to = (rank + step) % world_size;
      Copy(slot + to * piece, whole + parts[to].begin + low, PieceOf(parts[to].bytes, low, piece));
    }
    STOWAGE_RETURN_IF_ERROR(group_.Synchronize(during_));
    for (int peer = 0; peer < world_size; ++peer) {
      if (peer != rank) from[peer] = group_.slot(peer, round) + rank * piece;
    }
    const int64_t bytes = PieceOf(parts[rank].bytes, low, piece);
    if (bytes > 0) take(low, bytes, from);
  }
  return absl::OkStatus();
}

absl::Status SharedCollectives::ReduceScatter(const CollectiveRequest& request, const Parts& parts, char* out) {
  const Part own = parts[group_.rank()];
  if (InIsShared()) {
    ReduceShared(request, own, out);
    return absl::OkStatus();
  }
  const char* const whole = static_cast<const char*>(request.in);
  return PassParts(request, parts, whole, [&](int64_t low, int64_t bytes, const std::vector<const char*>& from) {
    std::vector<const void*> summands(from.begin(), from.end());
    summands[group_.rank()] = whole + own.begin + low;
    kernels::ReduceInOrder(request.op, summands, out + low, bytes / DTypeBytes(request.dtype), request.dtype);
  });
}

absl::Status SharedCollectives::AllGather(const CollectiveRequest& request, const Parts& parts, const char* mine,
                                          char* whole) {
  const int rank = group_.rank();
  Copy(whole + parts[rank].begin, mine, parts[rank].bytes);
  if (request.kind == CollectiveKind::kAllGather) {
    if (OutIsCommon()) return absl::OkStatus();  // everyone's copy is this one
    if (InIsShared()) {
      for (int step = 1; step < group_.world_size(); ++step) {
        const int peer = (rank + step) % group_.world_size();
        Copy(whole + parts[peer].begin, regions_.Resolve(group_.control(peer).call.in, peer), parts[peer].bytes);
      }
      return absl::OkStatus();
    }
  }
  const int64_t piece = group_.layout().slot_bytes;
  int64_t largest = 0;
  for (const Part& part : parts) largest = std::max(largest, part.bytes);
  for (int64_t low = 0, round = 0; low < largest; low += piece, ++round) {
    Copy(group_.slot(rank, round), mine + low, PieceOf(parts[rank].bytes, low, piece));
    STOWAGE_RETURN_IF_ERROR(group_.Synchronize(during_));
    for (int step = 1; step < group_.world_size(); ++step) {
      const int peer = (rank + step) % group_.world_size();
      Copy(whole + parts[peer].begin + low, group_.slot(peer, round), PieceOf(parts[peer].bytes, low, piece));
    }
  }
  return absl::OkStatus();
}

absl::Status SharedCollectives::AllToAll(const CollectiveRequest& request, const Parts& parts) {
  const char* const in = static_cast<const char*>(request.in);
  char* const out = static_cast<char*>(request.out);
  const int64_t own = parts[group_.rank()].begin;
  Copy(out + own, in + own, parts[group_.rank()].bytes);
  return PassParts(request, parts, in, [&](int64_t low, int64_t bytes, const std::vector<const char*>& from) {
    for (int peer = 0; peer < group_.world_size(); ++peer) {
      if (from[peer] != nullptr) Copy(out + parts[peer].begin + low, from[peer], bytes);
    }
  });
}

absl::Status SharedCollectives::Broadcast(const CollectiveRequest& request) {
  char* const data = static_cast<char*>(request.out);
  const int64_t piece = group_.layout().slot_bytes;
  for (int64_t low = 0, round = 0; low < request.numel; low += piece, ++round) {
    const int64_t bytes = PieceOf(request.numel, low, piece);
    if (group_.rank() == request.root) Copy(group_.slot(request.root, round), data + low, bytes);
    STOWAGE_RETURN_IF_ERROR(group_.Synchronize(during_));
    if (group_.rank() != request.root) Copy(data + low, group_.slot(request.root, round), bytes);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> SharedCollectives::ExchangeText(absl::string_view mine) {
  CollectiveRequest request;
  request.kind = CollectiveKind::kExchangeText;
  STOWAGE_RETURN_IF_ERROR(Begin(request, static_cast<int64_t>(mine.size())));
  std::vector<int64_t> sizes;
  std::vector<std::string> texts;
  for (int rank = 0; rank < group_.world_size(); ++rank) {
    sizes.push_back(group_.control(rank).call.text_bytes);
    texts.emplace_back(sizes.back(), '\0');
  }
  texts[group_.rank()].assign(mine.data(), mine.size());
  const int64_t piece = group_.layout().slot_bytes;
  const int64_t largest = LargestOf(sizes);
  for (int64_t low = 0, round = 0; low < largest; low += piece, ++round) {
    Copy(group_.slot(group_.rank(), round), mine.data() + low, PieceOf(sizes[group_.rank()], low, piece));
    STOWAGE_RETURN_IF_ERROR(group_.Synchronize(during_));
    for (int peer = 0; peer < group_.world_size(); ++peer) {
      if (peer != group_.rank())
        Copy(&texts[peer][0] + low, group_.slot(peer, round), PieceOf(sizes[peer], low, piece));
    }
  }
  bytes_sent_ += (group_.world_size() - 1) * static_cast<int64_t>(mine.size());
  STOWAGE_RETURN_IF_ERROR(group_.Synchronize(during_));
  return texts;
}

}  // namespace stowage
