#include "trainer/run/train_loop.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "memory/counting_allocator.h"
#include "memory/process_memory.h"
#include "trainer/optimizer/learning_rate.h"
#include "trainer/run/evaluation.h"
#include "trainer/run/module_buffers.h"
#include "trainer/run/process.h"
#include "trainer/run/same_schedule.h"

namespace stowage {

namespace {

// What the loss has terms of, in people's words.
const char* Counted(const Config& config) { return config.model.input.has_value() ? "samples" : "tokens"; }

}  // namespace

TrainLoop::TrainLoop(const TrainLoopInputs& inputs)
    : in_(inputs),
      shape_(ShapeOf(inputs.state.model)),
      executor_(inputs.state.model, inputs.state.groups, inputs.communicator, &inputs.optimizer),
      planned_(inputs.config.memory.allocator == "planned" ? InstalledPool() : nullptr,
               [this](const std::string& line) { in_.reporter.Log(line); }),
      last_save_(absl::Now()) {
  result_.steps_done = in_.first_step;
}

absl::StatusOr<UpdateScalars> TrainLoop::Scalars(int64_t step, int micro_batches, const AgreementVerdict& verdict,
                                                 StepMetrics* metrics) const {
  const OptimizerConfig& optimizer = in_.config.optimizer;
  const double tokens = static_cast<double>(verdict.tokens);
  metrics->tokens = verdict.tokens;
  metrics->loss = verdict.loss_sum / tokens;
  metrics->grad_norm = std::sqrt(verdict.sum_of_squares) / tokens;
  if (verdict.non_finite > 0 || !std::isfinite(metrics->loss) || !std::isfinite(metrics->grad_norm)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "step ", step + 1, ": loss ", metrics->loss, ", ", verdict.non_finite,
        " gradient elements are not finite; nothing was updated. Lower optimizer.lr or lengthen "
        "optimizer.schedule.warmup_steps; saved checkpoints are whole"));
  }
  UpdateScalars scalars;
  scalars.step = step + 1;
  scalars.lr = LearningRate(optimizer, in_.total_steps, step);
  if (in_.config.train.lr_for_accumulation == "linear") scalars.lr *= micro_batches;
  if (in_.config.train.lr_for_accumulation == "sqrt") scalars.lr *= std::sqrt(static_cast<double>(micro_batches));
  // Clipping as in torch.nn.utils.clip_grad_norm_, folded into the one pass of the update.
  double clip = 1.0;
  if (optimizer.grad_clip > 0.0) clip = std::min(1.0, optimizer.grad_clip / (metrics->grad_norm + 1e-6));
  scalars.gradient_scale = clip / tokens;
  metrics->lr = scalars.lr;
  return scalars;
}

absl::StatusOr<StepMetrics> TrainLoop::Step(int64_t step, AgreementVerdict* verdict) {
  const absl::Time start = absl::Now();
  SetProcessStep(step + 1);
  const std::vector<SampleId> samples = in_.sampler.GlobalBatch(step);
  const MicroBatchCut cut{static_cast<int64_t>(samples.size()), *in_.config.train.micro_batch,
                          in_.communicator.world_size()};
  const int rank = in_.communicator.rank();
  if (schedule_.micro_batches != cut.per_rank()) schedule_ = WriteTrainStep(shape_, cut.per_rank());

  StepMetrics metrics;
  metrics.step = step + 1;
  metrics.counted = Counted(in_.config);
  PlayInputs inputs;
  inputs.mode = PassMode::kTrain;
  inputs.observer = &in_.memory;
  inputs.seed = static_cast<uint64_t>(in_.config.run.seed);
  inputs.step = step;
  inputs.release_gradients = in_.config.train.zero_grad == "release";
  inputs.global_index = [&](int m) { return cut.GlobalIndex(rank, m); };
  inputs.batch = [&](int m) -> absl::StatusOr<Batch> {
    if (m == 0) STOWAGE_RETURN_IF_ERROR(CheckBudget(step));
    const int64_t index = cut.GlobalIndex(rank, m);
    if (cut.Size(index) == 0) return Batch();
    return in_.data.train->Read(absl::MakeConstSpan(samples).subspan(cut.First(index), cut.Size(index)));
  };
  inputs.before_agree = [&](AgreementWords* words) {
    words->stop_signal = in_.signals.received();
    const auto& minutes = in_.config.checkpoint.every_minutes;
    words->save_wanted = minutes && absl::Now() - last_save_ >= absl::Minutes(*minutes) ? 1 : 0;
  };
  inputs.scalars = [&](const AgreementVerdict& v) { return Scalars(step, cut.per_rank(), v, &metrics); };
  PlannedSteps::Key sizes;
  for (int m = 0; m < cut.per_rank(); ++m) sizes.push_back(cut.Size(cut.GlobalIndex(rank, m)));
  planned_.Begin(sizes);
  in_.memory.BeginStep(step + 1);
  absl::StatusOr<AgreementVerdict> played = executor_.Play(schedule_, inputs);
  const Peaks peaks = in_.memory.EndStep();
  planned_.End(played.ok());
  STOWAGE_ASSIGN_OR_RETURN(*verdict, std::move(played));

  metrics.seconds = absl::ToDoubleSeconds(absl::Now() - start);
  metrics.tokens_per_second = static_cast<double>(metrics.tokens) / metrics.seconds;
  for (int c = 0; c < kCategories; ++c) {
    const std::string name(CategoryName(static_cast<Category>(c)));
    const int64_t peak = peaks.host().categories[c];
    metrics.memory_peak_bytes[name] = peak;
    result_.memory_peak_bytes[name] = std::max(result_.memory_peak_bytes[name], peak);
  }
  // A system that does not say it (no /proc) trains all the same.
  const absl::StatusOr<ProcessMemory> memory = ReadProcessMemory();
  if (memory.ok()) metrics.rss_peak_bytes = memory->peak_rss;
  return metrics;
}

absl::Status TrainLoop::CheckBudget(int64_t step) {
  // Libraries take most of what they ever take in the first steps, some more after an evaluation or a save.
  constexpr int64_t kFirstSteps = 4;
  constexpr int64_t kEvery = 8;
  if (step - in_.first_step >= kFirstSteps && step % kEvery != 0) return absl::OkStatus();
  STOWAGE_ASSIGN_OR_RETURN(const std::string line, in_.budget.Check());
  if (!line.empty()) in_.reporter.Say(line);
  return absl::OkStatus();
}

absl::Status TrainLoop::Evaluate(int64_t step) {
  if (in_.data.validation == nullptr) return absl::OkStatus();
  const PhaseScope phase(in_.memory, Phase::kEval);
  STOWAGE_RETURN_IF_ERROR(AverageBuffers(in_.state.model, in_.communicator));
  STOWAGE_ASSIGN_OR_RETURN(
      const EvaluationResult evaluation,
      EvaluateDataset(executor_, shape_, *in_.data.validation, in_.config.train.eval_sequences.value_or(0),
                      *in_.config.train.micro_batch, in_.communicator.rank(), in_.communicator.world_size(),
                      &in_.memory));
  result_.validation_loss = evaluation.loss;
  in_.reporter.Eval({step, evaluation.loss, evaluation.tokens, evaluation.seconds, evaluation.text_bytes_per_token,
                     evaluation.accuracy, Counted(in_.config)});
  return absl::OkStatus();
}

void TrainLoop::SaveInPassing(int64_t step) {
  const absl::Status status = in_.save(step);
  last_save_ = absl::Now();
  if (status.ok()) {
    saved_step_ = step;
  } else {
    in_.reporter.Say(absl::StrCat("checkpoint of step ", step, " was not saved (", status.message(),
                                  "); older checkpoints are whole and training goes on"));
  }
}

absl::Status TrainLoop::EvaluateWhatAStopLeftOut() {
  const std::optional<int64_t>& every = in_.config.train.eval_every;
  if (in_.first_step == 0 || !every || in_.first_step % *every != 0) return absl::OkStatus();
  // Only rank 0 has the file that knows.
  STOWAGE_ASSIGN_OR_RETURN(const std::vector<std::string> evaluated,
                           in_.communicator.ExchangeText(in_.reporter.resumed_evaluated() ? "yes" : "no"));
  return evaluated[0] == "yes" ? absl::OkStatus() : Evaluate(in_.first_step);
}

absl::Status TrainLoop::CheckSameSteps() {
  std::vector<int64_t> numel;
  for (const auto& group : in_.state.groups) numel.push_back(group->layout().whole_numel());
  return CheckSameSchedule(WriteTrainStep(shape_, /*micro_batches=*/1), shape_, numel, in_.communicator);
}

absl::StatusOr<TrainLoopResult> TrainLoop::Run() {
  const Config& config = in_.config;
  STOWAGE_RETURN_IF_ERROR(CheckSameSteps());
  STOWAGE_RETURN_IF_ERROR(EvaluateWhatAStopLeftOut());
  for (int64_t step = in_.first_step; step < in_.total_steps; ++step) {
    AgreementVerdict verdict;
    STOWAGE_ASSIGN_OR_RETURN(const StepMetrics metrics, Step(step, &verdict));
    const int64_t done = step + 1;
    result_.steps_done = done;
    result_.last_loss = metrics.loss;
    result_.tokens += metrics.tokens;
    result_.step_seconds += metrics.seconds;
    in_.reporter.Step(metrics);
    if (in_.memory.trace_is_due()) {
      const absl::Status traced = in_.memory.WriteTrace();
      if (!traced.ok()) in_.reporter.Say(absl::StrCat("the memory trace was not written: ", traced.message()));
    }

    const bool last = done == in_.total_steps;
    const bool stop = verdict.stop_signal != 0 && !last;
    if (!stop && (last || (config.train.eval_every && done % *config.train.eval_every == 0))) {
      STOWAGE_RETURN_IF_ERROR(Evaluate(done));
    }
    if (last || stop) {
      result_.stop_signal = stop ? static_cast<int>(verdict.stop_signal) : 0;
      break;
    }
    if (verdict.save_wanted || (config.checkpoint.every && done % *config.checkpoint.every == 0)) SaveInPassing(done);
  }
  if (planned_.planned()) {
    result_.planned = planned_.statistics();
    in_.reporter.Log(planned_.Summary());
  }
  // The last save is not in passing: without it the run's result would be lost.
  if (saved_step_ != result_.steps_done) STOWAGE_RETURN_IF_ERROR(in_.save(result_.steps_done));
  return result_;
}

}  // namespace stowage
