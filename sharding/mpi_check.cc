// Puts the MPI communicator through its cases, as ranks that mpirun starts.
// mpi_test starts it; by hand:
//
//   mpirun -n 3 bazel-bin/sharding/mpi_check cases [piece_bytes]
//
// Prints one line per case from rank 0 and exits 0 if all ranks passed all.
// MPI_CHECK_BACKEND in the environment: Launch's backend, "auto" if it is not set.
// Other first words:
//   large      more than 2 GiB at once, by every kind of transport; takes 2.3
//   GiB a rank where      one line per rank: placement and threads abort the
//   last rank calls Abort while the others wait in a collective kill       the
//   last rank kills itself by SIGKILL while the others wait; they call Abort
//   with what they got different  ranks make different calls; each says what
//   error it got sizes      two ranks give different sizes for one message
//   unfinished the last rank ends after an error of its own without a word to
//   the others
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "sharding/agreement.h"
#include "sharding/collective_cases.h"
#include "sharding/launch.h"
#include "sharding/mpi_communicator.h"

namespace stowage {
namespace {

// Three pieces of 4 MiB and a rest, per part, on two ranks.
constexpr int64_t kLargeNumel = 1000003;
constexpr int64_t kSeveralPiecesNumel = 7000003;

int Cases(Communicator &communicator, bool several_pieces) {
  int failures = 0;
  std::vector<CollectiveCase> cases =
      CollectiveCases(kLargeNumel / communicator.world_size());
  if (several_pieces) {
    for (CollectiveCase &one : CollectiveCases(kSeveralPiecesNumel)) {
      if (one.name.find("7000003") != std::string::npos &&
          one.name.find("AllReduce") == 0)
        cases.push_back(one);
    }
  }
  for (const CollectiveCase &one : cases) {
    const absl::Status status =
        AgreeOnStatus(communicator, one.run(communicator));
    if (!status.ok())
      ++failures;
    if (communicator.rank() == 0) {
      std::printf("%s %s%s%s\n", status.ok() ? "ok" : "FAILED",
                  one.name.c_str(), status.ok() ? "" : ": ",
                  std::string(status.message()).c_str());
    }
  }
  if (communicator.rank() == 0)
    std::printf("%d cases, %d failed\n", static_cast<int>(cases.size()),
                failures);
  return failures == 0 ? 0 : 1;
}

// bf16 of small whole numbers: every sum is exact.
uint16_t WholeNumber(int64_t value) {
  const float number = static_cast<float>(value);
  uint32_t bits;
  std::memcpy(&bits, &number, sizeof(bits));
  return static_cast<uint16_t>(bits >> 16);
}

// Whether data[i] is what `wanted` says, at every 4093rd place and around every
// GiB.
absl::Status ExpectThroughout(const std::vector<uint16_t> &data,
                              const std::function<uint16_t(int64_t)> &wanted,
                              const char *what) {
  constexpr int64_t kAtGib = int64_t{1} << 29;
  const int64_t numel = static_cast<int64_t>(data.size());
  for (int64_t i = 0; i < numel;
       i += i % kAtGib < 1000 || i % kAtGib > kAtGib - 5000 || i > numel - 5000
                ? 1
                : 4093) {
    if (data[i] == wanted(i))
      continue;
    return absl::DataLossError(absl::StrCat(
        what, ": element ", i, " is ", data[i], " and should be ", wanted(i)));
  }
  return absl::OkStatus();
}

int Large(Communicator &communicator) {
  constexpr int64_t kMost =
      (int64_t{5} << 29) / 2 + 7; // elements of 2 bytes: 2.5 GiB and a rest
  const int rank = communicator.rank(), world_size = communicator.world_size();
  const int64_t shard = kMost / world_size, numel = shard * world_size,
                bytes = numel * 2;
  const auto value = [](int rank, int64_t i) {
    return (i * 7 + rank * 5) % 61;
  };
  std::vector<uint16_t> data(numel);
  const auto fill = [&](const std::function<uint16_t(int64_t)> &with) {
    for (int64_t i = 0; i < numel; ++i)
      data[i] = with(i);
  };
  const auto of_rank = [&](int r) {
    return [&value, r](int64_t i) { return WholeNumber(value(r, i)); };
  };
  const auto say = [&](const char *what, absl::Status status) {
    status = AgreeOnStatus(communicator, status);
    if (rank == 0)
      std::printf("%s %s %s\n", status.ok() ? "ok" : "FAILED", what,
                  status.ToString().c_str());
    return status.ok() ? 0 : 1;
  };
  int failed = 0;

  fill(of_rank(rank));
  absl::Status status =
      communicator.AllReduce(data.data(), numel, DType::kBFloat16).Wait();
  const auto sum = [&](int64_t i) {
    int64_t all = 0;
    for (int r = 0; r < world_size; ++r)
      all += value(r, i);
    return WholeNumber(all);
  };
  if (status.ok())
    status = ExpectThroughout(data, sum, "sum");
  failed += say("all_reduce", status);

  fill([&](int64_t i) {
    return i / shard == rank ? of_rank(rank)(i) : uint16_t{0xffff};
  });
  status = communicator
               .AllGather(data.data() + rank * shard, data.data(), shard,
                          DType::kBFloat16)
               .Wait();
  if (status.ok()) {
    status = ExpectThroughout(
        data,
        [&](int64_t i) { return of_rank(static_cast<int>(i / shard))(i); },
        "whole");
  }
  failed += say("all_gather", status);

  fill(of_rank(rank));
  status = communicator.Broadcast(data.data(), bytes, world_size - 1).Wait();
  if (status.ok())
    status = ExpectThroughout(data, of_rank(world_size - 1), "broadcast");
  failed += say("broadcast", status);

  fill(of_rank(rank));
  status = absl::OkStatus();
  if (world_size > 1 && rank == 0)
    status = communicator.Send(data.data(), bytes, 1).Wait();
  if (rank == 1) {
    status = communicator.Receive(data.data(), bytes, 0).Wait();
    if (status.ok())
      status = ExpectThroughout(data, of_rank(0), "message");
  }
  failed += say("send", status);
  return failed == 0 ? 0 : 1;
}

// Two ranks give two sizes for one message: the receiver says so.
int TwoSizes(Communicator &communicator) {
  std::vector<char> data(100);
  const int peer = 1 - communicator.rank();
  const Event event = communicator.rank() == 0
                          ? communicator.Send(data.data(), 90, peer)
                          : communicator.Receive(data.data(), 80, peer);
  std::printf("rank %d: %s\n", communicator.rank(),
              event.Wait().ToString().c_str());
  return 0;
}

int Where(Communicator &communicator, int requested) {
  const Placement &at = communicator.placement();
  const absl::StatusOr<ThreadPlan> plan = PlanThreads(at, requested);
  std::printf(
      "rank %d of %d, local %d of %d, %s: %s\n", at.rank, at.world_size,
      at.local_rank, at.local_size, std::string(communicator.name()).c_str(),
      plan.ok() ? plan->description.c_str() : plan.status().ToString().c_str());
  const std::string warning = GraceWarning();
  if (at.rank == 0 && !warning.empty())
    std::printf("warning: %s\n", warning.c_str());
  return plan.ok() ? 0 : 1;
}

// All ranks but the last wait in an all_reduce that the last one never joins.
int Faulty(Communicator &communicator, const std::string &mode) {
  if (!communicator.Barrier().ok())
    return 3;
  std::vector<float> data(1000000, 1.0f);
  if (communicator.rank() != communicator.world_size() - 1) {
    const absl::Status status =
        communicator.AllReduce(data.data(), data.size(), DType::kFloat32)
            .Wait();
    if (absl::IsUnavailable(status))
      communicator.Abort(status); // a peer died
    std::printf("rank %d came back: %s\n", communicator.rank(),
                status.ToString().c_str());
    return 0; // so that mpirun's exit code can only come from the rank at fault
  }
  if (mode == "kill")
    raise(SIGKILL);
  if (mode == "abort")
    communicator.Abort(absl::DataLossError("shard 7 is torn"));
  _exit(1); // unfinished
}

int Different(Communicator &communicator) {
  std::vector<float> data(30);
  const bool odd = communicator.rank() % 2 == 1;
  const Event event =
      odd ? communicator.AllGather(data.data(), data.data() + 10, 5,
                                   DType::kFloat32)
          : communicator.AllReduce(data.data(), 10, DType::kFloat32);
  std::printf("rank %d: %s\n", communicator.rank(),
              event.Wait().ToString().c_str());
  return 0;
}

int Main(int argc, char **argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  const int64_t number = argc > 2 ? std::atoll(argv[2]) : 0;
  std::unique_ptr<Communicator> communicator;
  if (mode == "cases" && number > 0) {
    auto made = MpiCommunicator::Create(number);
    if (made.ok())
      communicator = *std::move(made);
  } else {
    const char *const backend = std::getenv("MPI_CHECK_BACKEND");
    auto made = Launch(backend == nullptr ? "auto" : backend);
    if (!made.ok())
      std::fprintf(stderr, "mpi_check: %s\n", made.status().ToString().c_str());
    if (made.ok())
      communicator = *std::move(made);
  }
  if (communicator == nullptr)
    return 1;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  if (mode == "cases")
    return Cases(*communicator, number == 0 && communicator->world_size() == 2);
  if (mode == "large")
    return Large(*communicator);
  if (mode == "sizes")
    return TwoSizes(*communicator);
  if (mode == "where")
    return Where(*communicator, static_cast<int>(number));
  if (mode == "different")
    return Different(*communicator);
  if (mode == "abort" || mode == "kill" || mode == "unfinished")
    return Faulty(*communicator, mode);
  std::fprintf(stderr, "mpi_check: cases [piece_bytes] | large | sizes | where "
                       "[threads] | abort | kill | unfinished | different\n");
  return 2;
}

} // namespace
} // namespace stowage

int main(int argc, char **argv) { return stowage::Main(argc, argv); }
