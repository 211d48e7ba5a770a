// Puts the MPI communicator through its cases, as ranks that mpirun starts. mpi_test starts it; by hand:
//
//   mpirun -n 3 bazel-bin/sharding/mpi_check cases [piece_bytes]
//
// Prints one line per case from rank 0 and exits 0 if all ranks passed all. Other first words:
//   where      one line per rank: placement and threads
//   abort      the last rank calls Abort while the others wait in a collective
//   kill       the last rank kills itself by SIGKILL while the others wait; they call Abort with what they got
//   different  ranks make different calls; each says what error it got
//   unfinished the last rank ends after an error of its own without a word to the others
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "sharding/agreement.h"
#include "sharding/collective_cases.h"
#include "sharding/launch.h"
#include "sharding/mpi_communicator.h"

namespace stowage {
namespace {

// Three pieces of 4 MiB and a rest, per part, on two ranks.
constexpr int64_t kLargeNumel = 1000003;
constexpr int64_t kSeveralPiecesNumel = 7000003;

int Cases(Communicator& communicator, bool several_pieces) {
  int failures = 0;
  std::vector<CollectiveCase> cases = CollectiveCases(kLargeNumel / communicator.world_size());
  if (several_pieces) {
    for (CollectiveCase& one : CollectiveCases(kSeveralPiecesNumel)) {
      if (one.name.find("7000003") != std::string::npos && one.name.find("AllReduce") == 0) cases.push_back(one);
    }
  }
  for (const CollectiveCase& one : cases) {
    const absl::Status status = AgreeOnStatus(communicator, one.run(communicator));
    if (!status.ok()) ++failures;
    if (communicator.rank() == 0) {
      std::printf("%s %s%s%s\n", status.ok() ? "ok" : "FAILED", one.name.c_str(), status.ok() ? "" : ": ",
                  std::string(status.message()).c_str());
    }
  }
  if (communicator.rank() == 0) std::printf("%d cases, %d failed\n", static_cast<int>(cases.size()), failures);
  return failures == 0 ? 0 : 1;
}

int Where(Communicator& communicator, int requested) {
  const Placement& at = communicator.placement();
  const absl::StatusOr<ThreadPlan> plan = PlanThreads(at, requested);
  std::printf("rank %d of %d, local %d of %d, %s: %s\n", at.rank, at.world_size, at.local_rank, at.local_size,
              std::string(communicator.name()).c_str(),
              plan.ok() ? plan->description.c_str() : plan.status().ToString().c_str());
  const std::string warning = GraceWarning();
  if (at.rank == 0 && !warning.empty()) std::printf("warning: %s\n", warning.c_str());
  return plan.ok() ? 0 : 1;
}

// All ranks but the last wait in an all_reduce that the last one never joins.
int Faulty(Communicator& communicator, const std::string& mode) {
  if (!communicator.Barrier().ok()) return 3;
  std::vector<float> data(1000000, 1.0f);
  if (communicator.rank() != communicator.world_size() - 1) {
    const absl::Status status = communicator.AllReduce(data.data(), data.size(), DType::kFloat32).Wait();
    if (absl::IsUnavailable(status)) communicator.Abort(status);  // a peer died
    std::printf("rank %d came back: %s\n", communicator.rank(), status.ToString().c_str());
    return 0;  // so that mpirun's exit code can only come from the rank at fault
  }
  if (mode == "kill") raise(SIGKILL);
  if (mode == "abort") communicator.Abort(absl::DataLossError("shard 7 is torn"));
  _exit(1);  // unfinished
}

int Different(Communicator& communicator) {
  std::vector<float> data(30);
  const bool odd = communicator.rank() % 2 == 1;
  const Event event = odd ? communicator.AllGather(data.data(), data.data() + 10, 5, DType::kFloat32)
                          : communicator.AllReduce(data.data(), 10, DType::kFloat32);
  std::printf("rank %d: %s\n", communicator.rank(), event.Wait().ToString().c_str());
  return 0;
}

int Main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  const int64_t number = argc > 2 ? std::atoll(argv[2]) : 0;
  std::unique_ptr<Communicator> communicator;
  if (mode == "cases" && number > 0) {
    auto made = MpiCommunicator::Create(number);
    if (made.ok()) communicator = *std::move(made);
  } else {
    auto made = Launch("auto");
    if (!made.ok()) std::fprintf(stderr, "mpi_check: %s\n", made.status().ToString().c_str());
    if (made.ok()) communicator = *std::move(made);
  }
  if (communicator == nullptr) return 1;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  if (mode == "cases") return Cases(*communicator, number == 0 && communicator->world_size() == 2);
  if (mode == "where") return Where(*communicator, static_cast<int>(number));
  if (mode == "different") return Different(*communicator);
  if (mode == "abort" || mode == "kill" || mode == "unfinished") return Faulty(*communicator, mode);
  std::fprintf(stderr, "mpi_check: cases [piece_bytes] | where [threads] | abort | kill | unfinished | different\n");
  return 2;
}

}  // namespace
}  // namespace stowage

int main(int argc, char** argv) { return stowage::Main(argc, argv); }
