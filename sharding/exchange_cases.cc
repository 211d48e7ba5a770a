#include "sharding/exchange_cases.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "sharding/collective_elements.h"

namespace stowage {
namespace {

using namespace cases; // the element types

// Parts of 0, numel, numel / 2, numel / 3, ... elements, so that one rank has
// nothing and one the most.
std::vector<int64_t> UnevenNumels(int world_size, int64_t numel) {
  std::vector<int64_t> numels;
  for (int rank = 0; rank < world_size; ++rank)
    numels.push_back(rank == 0 ? 0 : numel / rank);
  if (world_size == 1)
    numels[0] = numel;
  return numels;
}

template <typename T>
absl::Status AllGatherUneven(Communicator &communicator, int64_t numel,
                             bool in_place) {
  const int rank = communicator.rank(), world_size = communicator.world_size();
  const std::vector<int64_t> numels = UnevenNumels(world_size, numel);
  int64_t all = 0, begin = 0;
  std::vector<typename T::Stored> wanted;
  for (int peer = 0; peer < world_size; ++peer) {
    if (peer == rank)
      begin = all;
    all += numels[peer];
    const auto part = Fill<T>(peer, 0, numels[peer]);
    wanted.insert(wanted.end(), part.begin(), part.end());
  }
  auto mine = Fill<T>(rank, 0, numels[rank]);
  std::vector<typename T::Stored> whole(all);
  if (in_place)
    std::copy(mine.begin(), mine.end(), whole.begin() + begin);
  const int64_t sent_before = communicator.bytes_sent();
  STOWAGE_RETURN_IF_ERROR(
      communicator
          .AllGatherUneven(in_place ? whole.data() + begin : mine.data(),
                           whole.data(), numels, T::kDType)
          .Wait());
  STOWAGE_RETURN_IF_ERROR(ExpectSameBits(whole.data(), wanted, "whole"));
  const int64_t sent = communicator.bytes_sent() - sent_before;
  const int64_t due = (world_size - 1) * numels[rank] *
                      static_cast<int64_t>(sizeof(typename T::Stored));
  if (sent == due)
    return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("counts ", sent, " bytes as sent; ", due, " were"));
}

// What `from` sends to `to` starts at an index of its own.
int64_t BlockBegin(int world_size, int to, int64_t numel) {
  return static_cast<int64_t>(to + world_size) * numel;
}

template <typename T>
absl::Status AllToAll(Communicator &communicator, int64_t numel) {
  const int rank = communicator.rank(), world_size = communicator.world_size();
  std::vector<typename T::Stored> out, wanted, in(numel * world_size);
  for (int peer = 0; peer < world_size; ++peer) {
    const auto sent = Fill<T>(rank, BlockBegin(world_size, peer, numel), numel);
    out.insert(out.end(), sent.begin(), sent.end());
    const auto due = Fill<T>(peer, BlockBegin(world_size, rank, numel), numel);
    wanted.insert(wanted.end(), due.begin(), due.end());
  }
  STOWAGE_RETURN_IF_ERROR(
      communicator.AllToAll(out.data(), in.data(), numel, T::kDType).Wait());
  return ExpectSameBits(in.data(), wanted, "what came in");
}

// Every rank sends to its right neighbour before it receives from its left one,
// which would deadlock if sends waited; a collective is under way meanwhile,
// and the answers are looked at after other work.
absl::Status RingOfMessages(Communicator &communicator, int64_t numel) {
  const int rank = communicator.rank(), world_size = communicator.world_size();
  if (world_size == 1)
    return absl::OkStatus();
  const int right = (rank + 1) % world_size,
            left = (rank + world_size - 1) % world_size;
  constexpr int kRounds = 3;
  const int64_t bytes = numel * static_cast<int64_t>(sizeof(float)),
                sent_before = communicator.bytes_sent();
  std::vector<std::vector<float>> out, in(kRounds, std::vector<float>(numel));
  for (int round = 0; round < kRounds; ++round)
    out.push_back(Fill<F32>(rank, round * numel, numel));
  std::vector<Event> sends, receives;
  for (int round = 0; round < kRounds; ++round)
    sends.push_back(communicator.Send(out[round].data(), bytes, right));
  const int64_t sent_by_messages =
      communicator.world_size() > 1 ? kRounds * bytes : 0;
  auto sum = Fill<F32>(rank, 0, 1000);
  const Event summed =
      communicator.AllReduce(sum.data(), 1000, DType::kFloat32);
  for (int round = 0; round < kRounds; ++round)
    receives.push_back(communicator.Receive(in[round].data(), bytes, left));
  // Other work: what was asked for is to be right after it.
  volatile double other = 0.0;
  for (int i = 0; i < 100000; ++i)
    other = other + i;
  absl::Status found;
  for (int round = kRounds - 1; round >= 0; --round) {
    STOWAGE_RETURN_IF_ERROR(receives[round].Wait());
    found.Update(ExpectSameBits(
        in[round].data(), Fill<F32>(left, round * numel, numel), "a message"));
    STOWAGE_RETURN_IF_ERROR(sends[round].Wait());
    found.Update(ExpectSameBits(out[round].data(),
                                Fill<F32>(rank, round * numel, numel),
                                "what was sent"));
  }
  STOWAGE_RETURN_IF_ERROR(summed.Wait());
  found.Update(ExpectSameBits(
      sum.data(), ReduceRanks<F32>(Reduction::kSum, world_size, 0, 1000),
      "the sum"));
  if (communicator.bytes_sent() - sent_before < sent_by_messages) {
    found.Update(absl::InternalError("messages are not counted as sent"));
  }
  return found;
}

// A pair goes on by itself: the other ranks do not call. The answer to a
// message is sent after it came.
absl::Status PingPongOfOnePair(Communicator &communicator, int64_t numel) {
  const int rank = communicator.rank(), last = communicator.world_size() - 1;
  absl::Status found;
  if (last > 0 && (rank == 0 || rank == last)) {
    const int peer = last - rank;
    const int64_t bytes = numel * static_cast<int64_t>(sizeof(int64_t));
    for (int round = 0; round < 4; ++round) {
      auto data = Fill<I64>(0, round, numel);
      if (rank == 0)
        STOWAGE_RETURN_IF_ERROR(
            communicator.Send(data.data(), bytes, peer).Wait());
      std::vector<int64_t> came(numel);
      STOWAGE_RETURN_IF_ERROR(
          communicator.Receive(came.data(), bytes, peer).Wait());
      found.Update(
          ExpectSameBits(came.data(), data, absl::StrCat("round ", round)));
      if (rank == last)
        STOWAGE_RETURN_IF_ERROR(
            communicator.Send(came.data(), bytes, peer).Wait());
    }
  }
  STOWAGE_RETURN_IF_ERROR(communicator.Barrier());
  return found;
}

} // namespace

void AddExchangeCases(int64_t numel, std::vector<CollectiveCase> &cases) {
  const auto add = [&](absl::string_view what,
                       std::function<absl::Status(Communicator &)> run) {
    cases.push_back({absl::StrCat(what, "_", numel), std::move(run)});
  };
  for (const bool in_place : {false, true}) {
    const std::string place = in_place ? "InPlace" : "";
    add(absl::StrCat("AllGatherUneven", place, "_F32"), [=](Communicator &c) {
      return AllGatherUneven<F32>(c, numel, in_place);
    });
    add(absl::StrCat("AllGatherUneven", place, "_BF16"), [=](Communicator &c) {
      return AllGatherUneven<BF16>(c, numel, in_place);
    });
  }
  add("AllToAll_F32", [=](Communicator &c) { return AllToAll<F32>(c, numel); });
  add("AllToAll_F16", [=](Communicator &c) { return AllToAll<F16>(c, numel); });
  add("AllToAll_I64", [=](Communicator &c) { return AllToAll<I64>(c, numel); });
  add("RingOfMessages",
      [=](Communicator &c) { return RingOfMessages(c, numel); });
  add("PingPongOfOnePair",
      [=](Communicator &c) { return PingPongOfOnePair(c, numel); });
}

} // namespace stowage
