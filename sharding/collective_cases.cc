#include "sharding/collective_cases.h"

#include <cmath>
#include <cstdint>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/dtype.h"
#include "base/hash.h"
#include "base/status_macros.h"

namespace stowage {
namespace {

uint16_t RoundToBfloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);  // to nearest, ties to even
}

float FromBfloat16(uint16_t value) {
  const uint32_t bits = static_cast<uint32_t>(value) << 16;
  float result;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

uint64_t Bits(int rank, int64_t index) { return Mix64(static_cast<uint64_t>(rank) * 0x100000001ULL + index); }

double Real(int rank, int64_t index) {
  const uint64_t bits = Bits(rank, index);
  const double mantissa = static_cast<double>(static_cast<int64_t>(bits >> 11)) / (1LL << 52) - 1.0;
  return std::ldexp(mantissa, static_cast<int>(bits % 24) - 12);
}

// Element types as C++ has them: how a value is stored and how it is summed.
struct F32 {
  using Stored = float;
  using Sum = float;
  static constexpr DType kDType = DType::kFloat32;
  static Stored Value(int rank, int64_t index) { return static_cast<float>(Real(rank, index)); }
  static Sum Widen(Stored v) { return v; }
  static Stored Narrow(Sum v) { return v; }
};
struct F64 {
  using Stored = double;
  using Sum = double;
  static constexpr DType kDType = DType::kFloat64;
  static Stored Value(int rank, int64_t index) { return Real(rank, index) / 3.0; }
  static Sum Widen(Stored v) { return v; }
  static Stored Narrow(Sum v) { return v; }
};
struct BF16 {
  using Stored = uint16_t;
  using Sum = float;
  static constexpr DType kDType = DType::kBFloat16;
  static Stored Value(int rank, int64_t index) { return RoundToBfloat16(static_cast<float>(Real(rank, index))); }
  static Sum Widen(Stored v) { return FromBfloat16(v); }
  static Stored Narrow(Sum v) { return RoundToBfloat16(v); }
};
struct I64 {
  using Stored = int64_t;
  using Sum = int64_t;
  static constexpr DType kDType = DType::kInt64;
  static Stored Value(int rank, int64_t index) { return static_cast<int64_t>(Bits(rank, index) >> 8); }
  static Sum Widen(Stored v) { return v; }
  static Stored Narrow(Sum v) { return v; }
};

template <typename T>
std::vector<typename T::Stored> Fill(int rank, int64_t begin, int64_t numel) {
  std::vector<typename T::Stored> data(numel);
  for (int64_t i = 0; i < numel; ++i) data[i] = T::Value(rank, begin + i);
  return data;
}

// The serial reference: elements [begin, begin + numel) summed over ranks 0, 1, ... in that order.
template <typename T>
std::vector<typename T::Stored> SumOfRanks(int world_size, int64_t begin, int64_t numel) {
  std::vector<typename T::Stored> data(numel);
  for (int64_t i = 0; i < numel; ++i) {
    typename T::Sum sum = T::Widen(T::Value(0, begin + i));
    for (int rank = 1; rank < world_size; ++rank) sum += T::Widen(T::Value(rank, begin + i));
    data[i] = T::Narrow(sum);
  }
  return data;
}

template <typename Stored>
absl::Status ExpectSameBits(const Stored* got, const std::vector<Stored>& wanted, absl::string_view what) {
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (std::memcmp(&got[i], &wanted[i], sizeof(Stored)) == 0) continue;
    return absl::DataLossError(
        absl::StrCat(what, ": element ", i, " of ", wanted.size(), " is ", got[i], " and should be ", wanted[i]));
  }
  return absl::OkStatus();
}

template <typename T>
absl::Status ReduceScatter(Communicator& communicator, int64_t numel, bool in_place) {
  const int rank = communicator.rank();
  const int world_size = communicator.world_size();
  const int64_t sent_before = communicator.bytes_sent();
  auto whole = Fill<T>(rank, 0, numel * world_size);
  std::vector<typename T::Stored> apart(in_place ? 0 : numel);
  typename T::Stored* shard = in_place ? whole.data() + rank * numel : apart.data();
  STOWAGE_RETURN_IF_ERROR(communicator.ReduceScatter(whole.data(), shard, numel, T::kDType).Wait());
  STOWAGE_RETURN_IF_ERROR(ExpectSameBits(shard, SumOfRanks<T>(world_size, rank * numel, numel), "shard"));
  if (!in_place) STOWAGE_RETURN_IF_ERROR(ExpectSameBits(whole.data(), Fill<T>(rank, 0, numel * world_size), "whole"));
  const int64_t sent = communicator.bytes_sent() - sent_before;
  const int64_t wanted = (world_size - 1) * numel * static_cast<int64_t>(sizeof(typename T::Stored));
  if (sent == wanted) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("counts ", sent, " bytes as sent; ", wanted, " were"));
}

template <typename T>
absl::Status AllGather(Communicator& communicator, int64_t numel, bool in_place) {
  const int rank = communicator.rank();
  const int world_size = communicator.world_size();
  std::vector<typename T::Stored> whole(numel * world_size);
  std::vector<typename T::Stored> shard = Fill<T>(rank, 0, numel);
  if (in_place) std::copy(shard.begin(), shard.end(), whole.begin() + rank * numel);
  const auto* from = in_place ? whole.data() + rank * numel : shard.data();
  STOWAGE_RETURN_IF_ERROR(communicator.AllGather(from, whole.data(), numel, T::kDType).Wait());
  for (int peer = 0; peer < world_size; ++peer) {
    STOWAGE_RETURN_IF_ERROR(
        ExpectSameBits(whole.data() + peer * numel, Fill<T>(peer, 0, numel), absl::StrCat("part of rank ", peer)));
  }
  return absl::OkStatus();
}

template <typename T>
absl::Status AllReduce(Communicator& communicator, int64_t numel) {
  auto data = Fill<T>(communicator.rank(), 0, numel);
  STOWAGE_RETURN_IF_ERROR(communicator.AllReduce(data.data(), numel, T::kDType).Wait());
  return ExpectSameBits(data.data(), SumOfRanks<T>(communicator.world_size(), 0, numel), "data");
}

template <typename T>
void AddCases(absl::string_view type, int64_t numel, std::vector<CollectiveCase>& cases) {
  const std::string suffix = absl::StrCat("_", type, "_", numel);
  for (const bool in_place : {false, true}) {
    const std::string place = in_place ? "InPlace" : "";
    cases.push_back({absl::StrCat("ReduceScatter", place, suffix),
                     [=](Communicator& communicator) { return ReduceScatter<T>(communicator, numel, in_place); }});
    cases.push_back({absl::StrCat("AllGather", place, suffix),
                     [=](Communicator& communicator) { return AllGather<T>(communicator, numel, in_place); }});
  }
  cases.push_back({absl::StrCat("AllReduce", suffix),
                   [=](Communicator& communicator) { return AllReduce<T>(communicator, numel); }});
}

// A rank that found something wrong goes on to the end, or its peers would wait for it: the first finding is kept.
absl::Status BroadcastFromEveryRank(Communicator& communicator, int64_t numel) {
  absl::Status found;
  for (int root = 0; root < communicator.world_size(); ++root) {
    auto data = Fill<I64>(communicator.rank(), 0, numel);
    STOWAGE_RETURN_IF_ERROR(communicator.Broadcast(data.data(), numel * sizeof(int64_t), root).Wait());
    found.Update(ExpectSameBits(data.data(), Fill<I64>(root, 0, numel), absl::StrCat("root ", root)));
  }
  return found;
}

absl::Status ExchangeTextOfAnyLength(Communicator& communicator) {
  absl::Status found;
  // Around a page, a kilobyte and beyond; different on every rank; empty; with zero bytes inside.
  for (const size_t length : {0, 1, 200, 247, 248, 249, 256, 5000, 300000}) {
    const auto text = [length](int rank) {
      std::string result(rank == 0 ? length : (length * 7) / (3 + rank), static_cast<char>('a' + rank));
      if (!result.empty()) result[result.size() / 2] = '\0';
      return result;
    };
    STOWAGE_ASSIGN_OR_RETURN(const auto all, communicator.ExchangeText(text(communicator.rank())));
    std::vector<std::string> wanted;
    for (int peer = 0; peer < communicator.world_size(); ++peer) wanted.push_back(text(peer));
    if (all != wanted) found.Update(absl::DataLossError(absl::StrCat("wrong texts at length ", length)));
  }
  return found;
}

// Several calls are under way at once, and awaited in another order than they were made.
absl::Status ManyPending(Communicator& communicator) {
  constexpr int kCalls = 6;
  constexpr int64_t kNumel = 1001;
  std::vector<std::vector<float>> data;
  for (int i = 0; i < kCalls; ++i) data.push_back(Fill<F32>(communicator.rank(), i * kNumel, kNumel));
  std::vector<Event> events;
  for (auto& call : data) events.push_back(communicator.AllReduce(call.data(), kNumel, DType::kFloat32));
  STOWAGE_RETURN_IF_ERROR(communicator.Barrier());
  for (int i = kCalls - 1; i >= 0; --i) {
    STOWAGE_RETURN_IF_ERROR(events[i].Wait());
    STOWAGE_RETURN_IF_ERROR(ExpectSameBits(
        data[i].data(), SumOfRanks<F32>(communicator.world_size(), i * kNumel, kNumel), absl::StrCat("call ", i)));
  }
  return absl::OkStatus();
}

// The promise that lets ZeRO stages share bits: one call or two, the same sums.
absl::Status AllReduceIsReduceScatterPlusAllGather(Communicator& communicator) {
  constexpr int64_t kShard = 4099;
  const int64_t numel = kShard * communicator.world_size();
  auto once = Fill<BF16>(communicator.rank(), 0, numel);
  auto twice = once;
  auto* shard = twice.data() + communicator.rank() * kShard;
  STOWAGE_RETURN_IF_ERROR(communicator.AllReduce(once.data(), numel, DType::kBFloat16).Wait());
  STOWAGE_RETURN_IF_ERROR(communicator.ReduceScatter(twice.data(), shard, kShard, DType::kBFloat16).Wait());
  STOWAGE_RETURN_IF_ERROR(communicator.AllGather(shard, twice.data(), kShard, DType::kBFloat16).Wait());
  return ExpectSameBits(once.data(), twice, "all_reduce");
}

}  // namespace

std::vector<CollectiveCase> CollectiveCases(int64_t large_numel) {
  std::vector<CollectiveCase> cases;
  for (const int64_t numel : {0, 1, 7, 1000}) {
    AddCases<F32>("F32", numel, cases);
    AddCases<BF16>("BF16", numel, cases);
    AddCases<F64>("F64", numel, cases);
    AddCases<I64>("I64", numel, cases);
  }
  AddCases<F32>("F32", large_numel, cases);
  for (const int64_t numel : {int64_t{0}, int64_t{1}, int64_t{7}, large_numel / 2}) {
    cases.push_back({absl::StrCat("Broadcast_", numel),
                     [=](Communicator& communicator) { return BroadcastFromEveryRank(communicator, numel); }});
  }
  cases.push_back({"ExchangeTextOfAnyLength", ExchangeTextOfAnyLength});
  cases.push_back({"ManyPending", ManyPending});
  cases.push_back({"AllReduceIsReduceScatterPlusAllGather", AllReduceIsReduceScatterPlusAllGather});
  cases.push_back({"Barrier", [](Communicator& communicator) { return communicator.Barrier(); }});
  return cases;
}

}  // namespace stowage
