#include "sharding/collective_cases.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/dtype.h"
#include "base/status_macros.h"
#include "sharding/collective_elements.h"
#include "sharding/exchange_cases.h"

namespace stowage {
namespace {

using namespace cases; // the element types

template <typename T>
absl::Status ReduceScatter(Communicator &communicator, int64_t numel,
                           bool in_place, Reduction op) {
  const int rank = communicator.rank();
  const int world_size = communicator.world_size();
  const int64_t sent_before = communicator.bytes_sent();
  auto whole = Fill<T>(rank, 0, numel * world_size);
  std::vector<typename T::Stored> apart(in_place ? 0 : numel);
  typename T::Stored *shard =
      in_place ? whole.data() + rank * numel : apart.data();
  STOWAGE_RETURN_IF_ERROR(
      communicator.ReduceScatter(whole.data(), shard, numel, T::kDType, op)
          .Wait());
  STOWAGE_RETURN_IF_ERROR(ExpectSameBits(
      shard, ReduceRanks<T>(op, world_size, rank * numel, numel), "shard"));
  if (!in_place)
    STOWAGE_RETURN_IF_ERROR(ExpectSameBits(
        whole.data(), Fill<T>(rank, 0, numel * world_size), "whole"));
  const int64_t sent = communicator.bytes_sent() - sent_before;
  const int64_t wanted = (world_size - 1) * numel *
                         static_cast<int64_t>(sizeof(typename T::Stored));
  if (sent == wanted)
    return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("counts ", sent, " bytes as sent; ", wanted, " were"));
}

template <typename T>
absl::Status AllGather(Communicator &communicator, int64_t numel,
                       bool in_place) {
  const int rank = communicator.rank();
  const int world_size = communicator.world_size();
  std::vector<typename T::Stored> whole(numel * world_size);
  std::vector<typename T::Stored> shard = Fill<T>(rank, 0, numel);
  if (in_place)
    std::copy(shard.begin(), shard.end(), whole.begin() + rank * numel);
  const auto *from = in_place ? whole.data() + rank * numel : shard.data();
  STOWAGE_RETURN_IF_ERROR(
      communicator.AllGather(from, whole.data(), numel, T::kDType).Wait());
  for (int peer = 0; peer < world_size; ++peer) {
    STOWAGE_RETURN_IF_ERROR(
        ExpectSameBits(whole.data() + peer * numel, Fill<T>(peer, 0, numel),
                       absl::StrCat("part of rank ", peer)));
  }
  return absl::OkStatus();
}

template <typename T>
absl::Status AllReduce(Communicator &communicator, int64_t numel,
                       Reduction op) {
  auto data = Fill<T>(communicator.rank(), 0, numel);
  STOWAGE_RETURN_IF_ERROR(
      communicator.AllReduce(data.data(), numel, T::kDType, op).Wait());
  return ExpectSameBits(data.data(),
                        ReduceRanks<T>(op, communicator.world_size(), 0, numel),
                        "data");
}

template <typename T>
void AddReductions(absl::string_view type, int64_t numel, Reduction op,
                   std::vector<CollectiveCase> &cases) {
  const std::string suffix = absl::StrCat(
      op == Reduction::kSum ? "" : absl::StrCat("_", ReductionName(op)), "_",
      type, "_", numel);
  for (const bool in_place : {false, true}) {
    cases.push_back(
        {absl::StrCat("ReduceScatter", in_place ? "InPlace" : "", suffix),
         [=](Communicator &communicator) {
           return ReduceScatter<T>(communicator, numel, in_place, op);
         }});
  }
  cases.push_back(
      {absl::StrCat("AllReduce", suffix), [=](Communicator &communicator) {
         return AllReduce<T>(communicator, numel, op);
       }});
}

template <typename T>
void AddCases(absl::string_view type, int64_t numel,
              std::vector<CollectiveCase> &cases) {
  for (const bool in_place : {false, true}) {
    cases.push_back({absl::StrCat("AllGather", in_place ? "InPlace" : "", "_",
                                  type, "_", numel),
                     [=](Communicator &communicator) {
                       return AllGather<T>(communicator, numel, in_place);
                     }});
  }
  for (const Reduction op :
       {Reduction::kSum, Reduction::kMin, Reduction::kMax}) {
    AddReductions<T>(type, numel, op, cases);
  }
  constexpr bool kIsFloat =
      T::kDType != DType::kInt32 && T::kDType != DType::kInt64;
  if (kIsFloat)
    AddReductions<T>(type, numel, Reduction::kMean, cases);
}

// A rank that found something wrong goes on to the end, or its peers would wait
// for it: the first finding is kept.
absl::Status BroadcastFromEveryRank(Communicator &communicator, int64_t numel) {
  absl::Status found;
  for (int root = 0; root < communicator.world_size(); ++root) {
    auto data = Fill<I64>(communicator.rank(), 0, numel);
    STOWAGE_RETURN_IF_ERROR(
        communicator.Broadcast(data.data(), numel * sizeof(int64_t), root)
            .Wait());
    found.Update(ExpectSameBits(data.data(), Fill<I64>(root, 0, numel),
                                absl::StrCat("root ", root)));
  }
  return found;
}

absl::Status ExchangeTextOfAnyLength(Communicator &communicator) {
  absl::Status found;
  // Around a page, a kilobyte and beyond; different on every rank; empty; with
  // zero bytes inside.
  for (const size_t length : {0, 1, 200, 247, 248, 249, 256, 5000, 300000}) {
    const auto text = [length](int rank) {
      std::string result(rank == 0 ? length : (length * 7) / (3 + rank),
                         static_cast<char>('a' + rank));
      if (!result.empty())
        result[result.size() / 2] = '\0';
      return result;
    };
    STOWAGE_ASSIGN_OR_RETURN(
        const auto all, communicator.ExchangeText(text(communicator.rank())));
    std::vector<std::string> wanted;
    for (int peer = 0; peer < communicator.world_size(); ++peer)
      wanted.push_back(text(peer));
    if (all != wanted)
      found.Update(
          absl::DataLossError(absl::StrCat("wrong texts at length ", length)));
  }
  return found;
}

// Several calls are under way at once, and awaited in another order than they
// were made.
absl::Status ManyPending(Communicator &communicator) {
  constexpr int kCalls = 6;
  constexpr int64_t kNumel = 1001;
  std::vector<std::vector<float>> data;
  for (int i = 0; i < kCalls; ++i)
    data.push_back(Fill<F32>(communicator.rank(), i * kNumel, kNumel));
  std::vector<Event> events;
  for (auto &call : data)
    events.push_back(
        communicator.AllReduce(call.data(), kNumel, DType::kFloat32));
  STOWAGE_RETURN_IF_ERROR(communicator.Barrier());
  for (int i = kCalls - 1; i >= 0; --i) {
    STOWAGE_RETURN_IF_ERROR(events[i].Wait());
    STOWAGE_RETURN_IF_ERROR(ExpectSameBits(
        data[i].data(),
        ReduceRanks<F32>(Reduction::kSum, communicator.world_size(), i * kNumel,
                         kNumel),
        absl::StrCat("call ", i)));
  }
  return absl::OkStatus();
}

// The promise that lets ZeRO stages share bits: one call or two, the same sums.
absl::Status AllReduceIsReduceScatterPlusAllGather(Communicator &communicator) {
  constexpr int64_t kShard = 4099;
  const int64_t numel = kShard * communicator.world_size();
  auto once = Fill<BF16>(communicator.rank(), 0, numel);
  auto twice = once;
  auto *shard = twice.data() + communicator.rank() * kShard;
  STOWAGE_RETURN_IF_ERROR(
      communicator.AllReduce(once.data(), numel, DType::kBFloat16).Wait());
  STOWAGE_RETURN_IF_ERROR(
      communicator.ReduceScatter(twice.data(), shard, kShard, DType::kBFloat16)
          .Wait());
  STOWAGE_RETURN_IF_ERROR(
      communicator.AllGather(shard, twice.data(), kShard, DType::kBFloat16)
          .Wait());
  return ExpectSameBits(once.data(), twice, "all_reduce");
}

} // namespace

std::vector<CollectiveCase> CollectiveCases(int64_t large_numel) {
  std::vector<CollectiveCase> cases;
  for (const int64_t numel : {0, 1, 7, 1000}) {
    AddCases<F32>("F32", numel, cases);
    AddCases<BF16>("BF16", numel, cases);
    AddCases<F16>("F16", numel, cases);
    AddCases<F64>("F64", numel, cases);
    AddCases<I32>("I32", numel, cases);
    AddCases<I64>("I64", numel, cases);
  }
  AddCases<F32>("F32", large_numel, cases);
  AddReductions<BF16>("BF16", large_numel, Reduction::kSum, cases);
  AddReductions<F16>("F16", large_numel, Reduction::kMax, cases);
  AddReductions<I32>("I32", large_numel, Reduction::kSum, cases);
  for (const int64_t numel : {int64_t{0}, int64_t{1}, int64_t{7}, large_numel})
    AddExchangeCases(numel, cases);
  for (const int64_t numel :
       {int64_t{0}, int64_t{1}, int64_t{7}, large_numel / 2}) {
    cases.push_back(
        {absl::StrCat("Broadcast_", numel), [=](Communicator &communicator) {
           return BroadcastFromEveryRank(communicator, numel);
         }});
  }
  cases.push_back({"ExchangeTextOfAnyLength", ExchangeTextOfAnyLength});
  cases.push_back({"ManyPending", ManyPending});
  cases.push_back({"AllReduceIsReduceScatterPlusAllGather",
                   AllReduceIsReduceScatterPlusAllGather});
  cases.push_back({"Barrier", [](Communicator &communicator) {
                     return communicator.Barrier();
                   }});
  return cases;
}

} // namespace stowage
