#include "trainer/run/start.h"

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "sharding/agreement.h"
#include "sharding/end_together.h"
#include "trainer/run/speak.h"
#include "trainer/run/process.h"

namespace stowage {
namespace {

// Rank 0 speaks: its own words if it is in trouble itself, else those of the first rank that is.
int Fail(std::unique_ptr<Communicator> communicator, const absl::Status& mine, const absl::Status& agreed,
         ExitCode code) {
  if (absl::IsUnavailable(agreed) && communicator->world_size() > 1) communicator->Abort(agreed);
  if (communicator->rank() == 0) Complain(mine.ok() ? agreed.message() : mine.message());
  return EndTogether(std::move(communicator), code);
}

}  // namespace

int StartAndRun(const StartRequest& request, const Work& work) {
  absl::StatusOr<std::unique_ptr<Communicator>> launched = Launch(request.ready.ok() ? request.backend : "auto");
  if (!launched.ok()) {
    if (IsFirstRank()) Complain((request.ready.ok() ? launched.status() : request.ready).message());
    return request.ready.ok() ? kExitFailure : request.refusal;
  }
  std::unique_ptr<Communicator> communicator = *std::move(launched);

  absl::Status agreed = AgreeOnStatus(*communicator, request.ready);
  if (!agreed.ok()) return Fail(std::move(communicator), request.ready, agreed, request.refusal);

  const absl::StatusOr<ThreadPlan> threads = PlanThreads(communicator->placement(), request.threads);
  agreed = AgreeOnStatus(*communicator, threads.status());
  if (!agreed.ok()) return Fail(std::move(communicator), threads.status(), agreed, kExitFailure);
  const absl::Status set_up = SetUpProcess(threads->threads);
  agreed = AgreeOnStatus(*communicator, set_up);
  if (!agreed.ok()) return Fail(std::move(communicator), set_up, agreed, kExitFailure);

  ExitCode code = kExitOk;
  const absl::Status done = work(*communicator, *threads, &code);
  if (!done.ok()) return Fail(std::move(communicator), done, done, kExitFailure);
  return EndTogether(std::move(communicator), code);
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
  const absl::Status agreed = AgreeOnStatus(**launched, status);
  return Fail(*std::move(launched), status, agreed, code);
}

}  // namespace stowage
