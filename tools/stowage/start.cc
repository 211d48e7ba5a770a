#include "tools/stowage/start.h"

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "sharding/agreement.h"
#include "tools/stowage/speak.h"
#include "trainer/run/process.h"

namespace stowage {
namespace {

// Rank 0 speaks: its own words if it is in trouble itself, else those of the first rank that is.
int Fail(const Communicator& communicator, const absl::Status& mine, const absl::Status& agreed, ExitCode code) {
  if (communicator.rank() == 0) Complain(mine.ok() ? agreed.message() : mine.message());
  return code;
}

}  // namespace

int StartAndRun(const StartRequest& request, const Work& work) {
  absl::StatusOr<std::unique_ptr<Communicator>> launched = Launch(request.ready.ok() ? request.backend : "auto");
  if (!launched.ok()) {
    if (IsFirstRank()) Complain((request.ready.ok() ? launched.status() : request.ready).message());
    return request.ready.ok() ? kExitFailure : kExitUsage;
  }
  Communicator& communicator = **launched;

  absl::Status agreed = AgreeOnStatus(communicator, request.ready);
  if (!agreed.ok()) return Fail(communicator, request.ready, agreed, kExitUsage);

  const absl::StatusOr<ThreadPlan> threads = PlanThreads(communicator.placement(), request.threads);
  agreed = AgreeOnStatus(communicator, threads.status());
  if (!agreed.ok()) return Fail(communicator, threads.status(), agreed, kExitFailure);
  SetUpProcess(threads->threads);

  ExitCode code = kExitOk;
  const absl::Status done = work(communicator, *threads, &code);
  if (!done.ok()) return Fail(communicator, done, done, kExitFailure);
  return code;
}

int FailTogether(const absl::Status& status, ExitCode code) {
  if (!UnderLauncher()) {
    Complain(status.message());
    return code;
  }
  absl::StatusOr<std::unique_ptr<Communicator>> launched = Launch("auto");
  if (!launched.ok()) {
    if (IsFirstRank()) Complain(status.message());
    return code;
  }
  return Fail(**launched, status, AgreeOnStatus(**launched, status), code);
}

}  // namespace stowage
