#include "trainer/run/plan_run.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/byte_size.h"
#include "base/status_macros.h"
#include "memory/budget/machine_memory.h"
#include "sharding/dry_communicator.h"
#include "sharding/launch.h"
#include "trainer/calibration/find_machine.h"
#include "trainer/calibration/outside_model.h"
#include "trainer/plan/plan_json.h"
#include "trainer/plan/plan_text.h"
#include "trainer/run/child.h"
#include "trainer/run/host_budget.h"
#include "trainer/run/rehearse.h"
#include "trainer/run/speak.h"
#include "trainer/schedule/verifier.h"

namespace stowage {
namespace {

// What the process holds besides tensors, the pool's part included.
void AddOutside(const FoundMachine& machine, const OutsideQuery& query, const Config& config, Prediction* prediction) {
  prediction->machine = machine.name;
  prediction->machine_remark = machine.remark;
  if (config.memory.allocator == "planned") {
    prediction->machine_remark =
        "memory.allocator: planned keeps its blocks in an arena, whose idle pages are not known";
    return;
  }
  prediction->outside = PredictOutside(machine, query);
  const int64_t pool = *prediction->pool_peak_bytes - prediction->tensors_peak_bytes;
  prediction->outside.insert(prediction->outside.begin(),
                             {"pool_idle", "pool: rounding and idle pages", pool, Source::kRehearsed});
  prediction->rss_peak_bytes = prediction->tensors_peak_bytes + TotalBytes(prediction->outside);
}

// What a budget keeps free for the process's growth, and 1/64 of it (memory/budget/budget.h).
constexpr int64_t kFree = int64_t{8} << 20;

// Where there is a bound, idle pages of the pool are given back before anything is refused.
int64_t WithoutIdle(const Prediction& prediction) {
  int64_t bytes = prediction.tensors_peak_bytes;
  for (const OutsidePrediction& line : prediction.outside) {
    if (line.name != "pool_idle") bytes += line.bytes;
  }
  return bytes;
}

// What the budget must be for the run to end well.
int64_t LeastBudget(const Prediction& prediction) { return (WithoutIdle(prediction) + kFree) / 63 * 64 + 64; }

// How many bytes of tensors fit: the most with which LeastBudget is at most `limit`.
int64_t RoomForTensors(const Prediction& prediction, int64_t limit) {
  const int64_t outside = WithoutIdle(prediction) - prediction.tensors_peak_bytes;
  return ((limit - 64) / 64 + 1) * 63 - 1 - kFree - outside;
}

std::string Asked(const BudgetValue& host) {
  switch (host.kind) {
    case BudgetValue::Kind::kBytes:
      return ExactByteSize(host.bytes);
    case BudgetValue::Kind::kPercent:
      return absl::StrFormat("%g%%", host.percent);
    case BudgetValue::Kind::kAuto:
      break;
  }
  return "auto";
}

// The first instruction of a step that holds more tensors than there is room for, in words; empty: none does.
absl::StatusOr<std::string> FirstOver(const Rehearsal& played, int64_t room_bytes) {
  for (const char* phase : {"first step", "step", "step after eval"}) {
    std::vector<int64_t> peaks;
    for (const InstructionPrediction& i : played.prediction.instructions) {
      if (i.phase == phase) peaks.push_back(i.total_peak_bytes);
    }
    if (peaks.empty()) continue;  // no evaluation
    const absl::Status covered = VerifyReserve(played.step, played.model, peaks, room_bytes);
    if (absl::IsResourceExhausted(covered)) return std::string(covered.message());
    STOWAGE_RETURN_IF_ERROR(covered);
  }
  return std::string();
}

absl::Status Judge(const Config& config, const PlanRequest& request, Rehearsal* played) {
  Prediction* const prediction = &played->prediction;
  STOWAGE_ASSIGN_OR_RETURN(const MachineMemory machine, ReadMachineMemory());
  const ResolvedHostBudget budget = ResolveHostBudget(config.memory.host, machine, request.ranks_on_host);
  BudgetVerdict verdict;
  verdict.key = "memory.host";
  verdict.asked = Asked(config.memory.host);
  int64_t room_bytes = 0;
  if (budget.bytes.has_value()) {
    verdict.limit_bytes = budget.bytes;
    verdict.limit_source = budget.source;
    verdict.need_bytes = LeastBudget(*prediction);
    room_bytes = RoomForTensors(*prediction, *budget.bytes);
  } else {
    // No bound was asked for, and nothing enforces one; but there is no more than the machine has.
    const RankShare share = ShareOf(machine, request.ranks_on_host);
    verdict.limit_bytes = share.bytes;
    verdict.limit_source = share.source;
    verdict.need_bytes = prediction->rss_peak_bytes.value_or(prediction->tensors_peak_bytes);
    room_bytes = share.bytes - (verdict.need_bytes - prediction->tensors_peak_bytes);
  }
  STOWAGE_ASSIGN_OR_RETURN(verdict.first_over, FirstOver(*played, room_bytes));
  prediction->budgets = {std::move(verdict)};
  return absl::OkStatus();
}

absl::StatusOr<Prediction> RehearseAndJudge(const Config& config, const OwnKinds& own, const PlanRequest& request,
                                            const FoundMachine& machine) {
  RehearsalRequest rehearsal;
  rehearsal.name = request.name;
  rehearsal.world_size = request.world_size;
  rehearsal.ranks_on_host = request.ranks_on_host;
  Placement placement;
  placement.world_size = request.world_size;
  placement.local_size = request.ranks_on_host;
  STOWAGE_ASSIGN_OR_RETURN(const ThreadPlan threads,
                           PlanThreads(placement, static_cast<int>(config.run.threads.value_or(0))));
  rehearsal.threads = threads.threads;
  STOWAGE_ASSIGN_OR_RETURN(Rehearsal played, Rehearse(config, own, rehearsal));
  played.outside.launched = request.launched;
  AddOutside(machine, played.outside, config, &played.prediction);
  STOWAGE_RETURN_IF_ERROR(Judge(config, request, &played));
  return std::move(played.prediction);
}

absl::StatusOr<Prediction> RehearseInChild(const Config& config, const OwnKinds& own, const PlanRequest& request,
                                           const FoundMachine& machine) {
  const auto rehearse = [&]() -> absl::StatusOr<std::string> {
    STOWAGE_ASSIGN_OR_RETURN(const Prediction prediction, RehearseAndJudge(config, own, request, machine));
    return PredictionJson(prediction);
  };
  STOWAGE_ASSIGN_OR_RETURN(const std::string answer, RunInChild(rehearse));
  return ParsePrediction(answer);
}

constexpr char kRecompute[] = "memory.recompute";

// Changes of one key that make a run smaller and exist today.
struct Change {
  Hint hint;
  Config config;
};

std::vector<Change> Changes(const Config& config, const Prediction& planned) {
  std::vector<Change> changes;
  for (int64_t micro_batch = planned.micro_batch / 2; micro_batch >= 1; micro_batch /= 2) {
    Change change{{"train.micro_batch", absl::StrCat(planned.micro_batch), absl::StrCat(micro_batch), 0, false,
                   "the losses, by rounding"},
                  config};
    change.config.train.micro_batch = micro_batch;
    changes.push_back(std::move(change));
  }
  if (planned.precision == "fp32") {
    Change change{{"precision", "fp32", "bf16", 0, false, "products to bf16; weights and sums stay fp32"}, config};
    change.config.precision = "bf16";
    changes.push_back(std::move(change));
  }
  for (int64_t batch = planned.global_batch / 2; batch >= planned.micro_batch; batch /= 2) {
    Change change{{"train.global_batch", absl::StrCat(planned.global_batch), absl::StrCat(batch), 0, false,
                   "how many samples an update sees"},
                  config};
    change.config.train.global_batch = batch;
    changes.push_back(std::move(change));
  }
  if (planned.recompute == "none") {
    // From the one that costs the least time. What a model has no segments for is refused when it is rehearsed.
    for (const char* policy : {"attention", "every", "layer", "sqrt"}) {
      Change change{
          {kRecompute, "none", policy, 0, false, "time only: these forwards are run twice, the bits are the same"},
          config};
      change.config.memory.recompute = policy;
      changes.push_back(std::move(change));
    }
  }
  if (config.optimizer.kind == "adamw") {
    Change change{{"optimizer.kind", "adamw", "sgd", 0, false, "the course of training; it wants another lr"}, config};
    change.config.optimizer.kind = "sgd";
    changes.push_back(std::move(change));
  }
  return changes;
}

// A change that gives less than this part of what is needed is not worth a line.
constexpr int64_t kLeastSaved = 200;

// Each change by itself, rehearsed. Of a key's values, largest first, only the first that fits is told, or the last; of
// policies of recompute all.
absl::Status AddHints(const Config& config, const OwnKinds& own, const PlanRequest& request,
                      const FoundMachine& machine, Prediction* planned) {
  const int64_t need = planned->budgets[0].need_bytes;
  std::string done;
  std::vector<Change> changes = Changes(config, *planned);
  for (size_t i = 0; i < changes.size(); ++i) {
    Hint& hint = changes[i].hint;
    if (hint.key == done) continue;
    absl::StatusOr<Prediction> changed = RehearseInChild(changes[i].config, own, request, machine);
    if (!changed.ok()) continue;  // the change asks for what this model cannot do
    hint.saves_bytes = need - changed->budgets[0].need_bytes;
    hint.fits = changed->fits();
    const bool last = i + 1 == changes.size() || changes[i + 1].hint.key != hint.key;
    // Policies are no scale from less to more: each is told.
    const bool policy = hint.key == kRecompute;
    if (hint.saves_bytes < need / kLeastSaved || !(hint.fits || last || policy)) continue;
    if (!policy) done = hint.key;
    planned->hints.push_back(hint);
  }
  std::stable_sort(planned->hints.begin(), planned->hints.end(), [](const Hint& a, const Hint& b) {
    return a.fits != b.fits ? a.fits : a.saves_bytes > b.saves_bytes;
  });
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Prediction> PlanRun(const Config& config, const OwnKinds& own, const PlanRequest& request) {
  if (request.world_size < 1 || request.world_size > kMostDryRanks) {
    return absl::InvalidArgumentError(
        absl::StrCat("a plan for ", request.world_size, " ranks: from 1 to ", kMostDryRanks, " can be planned for"));
  }
  if (request.ranks_on_host < 1 || request.ranks_on_host > request.world_size) {
    return absl::InvalidArgumentError(absl::StrCat(request.ranks_on_host, " ranks on a host of ", request.world_size,
                                                   " in all: from 1 to ", request.world_size, " can be"));
  }
  STOWAGE_ASSIGN_OR_RETURN(const FoundMachine machine, FindMachine(request.machine_file));
  STOWAGE_ASSIGN_OR_RETURN(Prediction prediction, RehearseInChild(config, own, request, machine));
  if (!prediction.fits()) {
    // Once more: the first rehearsal may have had to make the tokens, which leaves some heap idle that neither the
    // changes' rehearsals nor a training have, and a change would seem to save it.
    STOWAGE_ASSIGN_OR_RETURN(prediction, RehearseInChild(config, own, request, machine));
  }
  if (!prediction.fits()) STOWAGE_RETURN_IF_ERROR(AddHints(config, own, request, machine, &prediction));
  return prediction;
}

PlanBeforeTraining PlanLaunchedRun(const Config& config, const OwnKinds& own, const std::string& name) {
  PlanBeforeTraining plan;
  if (!IsFirstRank()) return plan;
  const LaunchedRanks ranks = RanksOfLauncher();
  absl::StatusOr<Prediction> prediction = PlanRun(
      config, own, {name, ranks.world_size, ranks.on_this_host, /*machine_file=*/"", /*launched=*/UnderLauncher()});
  if (prediction.ok()) {
    plan.refusal = Refusal(*prediction);
    plan.prediction = *std::move(prediction);
  } else {
    plan.why_none = std::string(prediction.status().message());
  }
  return plan;
}

}  // namespace stowage
