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

// What was agreed, of gradients that were multiplied by `scale`.
void Judge(const AgreementVerdict& verdict, double scale, StepMetrics* metrics) {
  const double tokens = static_cast<double>(verdict.tokens);
  metrics->tokens = verdict.tokens;
  metrics->loss = verdict.loss_sum / tokens;
  metrics->grad_norm = std::sqrt(verdict.sum_of_squares) / scale / tokens;
  metrics->skipped = verdict.non_finite > 0 || !std::isfinite(metrics->loss) || !std::isfinite(metrics->grad_norm);
}

}  // namespace

TrainLoop::TrainLoop(const TrainLoopInputs& inputs)
    : in_(inputs),
      shape_(ShapeOf(inputs.state.model)),
      executor_(inputs.state.model, inputs.state.groups, inputs.communicator, &inputs.optimizer),
      planned_(inputs.config.memory.allocator == "planned" ? InstalledPool() : nullptr,
               [this](const std::string& line) { in_.reporter.Log(line); }),
      shortage_(inputs.train_state.micro_batch, inputs.micro_batch_fixed),
      skips_(inputs.config.train.max_skipped_steps, inputs.train_state.skipped_steps,
             inputs.train_state.skipped_in_a_row),
      scaler_(inputs.config.train),
      last_save_(absl::Now()) {
  scaler_.Restore(in_.train_state.loss_scale, in_.train_state.clean_steps);
  result_.steps_done = in_.first_step;
}

TrainState TrainLoop::State() const {
  return {shortage_.micro_batch(), skips_.skipped(), skips_.in_a_row(), scaler_.scale(), scaler_.clean_steps()};
}

UpdateScalars TrainLoop::Scalars(int64_t step, int64_t samples, StepMetrics* metrics) const {
  const OptimizerConfig& optimizer = in_.config.optimizer;
  const int64_t updates = step - skips_.skipped();
  UpdateScalars scalars;
  scalars.step = updates + 1;
  scalars.lr = LearningRate(optimizer, in_.total_steps, updates);
  // By the config's cut: a shortage of memory must not raise the learning rate.
  const int micro_batches =
      MicroBatchCut{samples, *in_.config.train.micro_batch, in_.communicator.world_size()}.per_rank();
  if (in_.config.train.lr_for_accumulation == "linear") scalars.lr *= micro_batches;
  if (in_.config.train.lr_for_accumulation == "sqrt") scalars.lr *= std::sqrt(static_cast<double>(micro_batches));
  // Clipping as in torch.nn.utils.clip_grad_norm_, folded into the one pass of the update.
  double clip = 1.0;
  if (optimizer.grad_clip > 0.0) clip = std::min(1.0, optimizer.grad_clip / (metrics->grad_norm + 1e-6));
  scalars.gradient_scale = clip / static_cast<double>(metrics->tokens) / scaler_.scale();
  metrics->lr = scalars.lr;
  return scalars;
}

absl::Status TrainLoop::Play(int64_t step, StepMetrics* metrics, AgreementVerdict* verdict) {
  const std::vector<SampleId> samples = in_.sampler.GlobalBatch(step);
  const MicroBatchCut cut{static_cast<int64_t>(samples.size()), shortage_.micro_batch(), in_.communicator.world_size()};
  const int rank = in_.communicator.rank();
  if (schedule_.micro_batches != cut.per_rank()) schedule_ = WriteTrainStep(shape_, cut.per_rank());

  PlayInputs inputs;
  inputs.mode = PassMode::kTrain;
  inputs.observer = &in_.memory;
  inputs.seed = static_cast<uint64_t>(in_.config.run.seed);
  inputs.step = step;
  inputs.loss_scale = scaler_.scale();
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
  inputs.scalars = [&](const AgreementVerdict& v) -> absl::StatusOr<UpdateScalars> {
    *verdict = v;
    Judge(v, scaler_.scale(), metrics);
    const UpdateScalars scalars = Scalars(step, cut.samples, metrics);
    if (metrics->skipped) return absl::AbortedError("skipped");  // an error is how a step ends without an update
    return scalars;
  };
  PlannedSteps::Key sizes;
  for (int m = 0; m < cut.per_rank(); ++m) sizes.push_back(cut.Size(cut.GlobalIndex(rank, m)));
  planned_.Begin(sizes);
  in_.memory.BeginStep(step + 1);
  const absl::Status played = executor_.Play(schedule_, inputs).status();
  const Peaks peaks = in_.memory.EndStep();
  planned_.End(played.ok());
  for (int c = 0; c < kCategories; ++c) {
    const std::string name(CategoryName(static_cast<Category>(c)));
    const int64_t peak = peaks.host().categories[c];
    metrics->memory_peak_bytes[name] = peak;
    result_.memory_peak_bytes[name] = std::max(result_.memory_peak_bytes[name], peak);
  }
  return metrics->skipped ? absl::OkStatus() : played;
}

absl::StatusOr<StepMetrics> TrainLoop::Step(int64_t step, AgreementVerdict* verdict) {
  const absl::Time start = absl::Now();
  SetProcessStep(step + 1);
  StepMetrics metrics;
  for (int64_t voided = 0;; ++voided) {
    metrics = StepMetrics();
    metrics.voided = voided;
    const absl::Status played = Play(step, &metrics, verdict);
    if (played.ok()) break;
    if (!absl::IsResourceExhausted(played)) return played;
    STOWAGE_RETURN_IF_ERROR(AfterVoid(step, played));
  }
  shortage_.Made();
  metrics.step = step + 1;
  metrics.counted = Counted(in_.config);
  metrics.micro_batch = shortage_.micro_batch();
  if (scaler_.on()) metrics.loss_scale = scaler_.scale();
  metrics.seconds = absl::ToDoubleSeconds(absl::Now() - start);
  metrics.tokens_per_second = static_cast<double>(metrics.tokens) / metrics.seconds;
  // A system that does not say it (no /proc) trains all the same.
  const absl::StatusOr<ProcessMemory> memory = ReadProcessMemory();
  if (memory.ok()) metrics.rss_peak_bytes = memory->peak_rss;
  if (metrics.skipped) {
    STOWAGE_RETURN_IF_ERROR(AfterSkip(metrics, *verdict));
  } else {
    skips_.Updated();
    scaler_.Updated();
  }
  return metrics;
}

absl::Status TrainLoop::AfterVoid(int64_t step, const absl::Status& why) {
  const int64_t before = shortage_.micro_batch();
  const ShortagePolicy::Next next = shortage_.Voided();
  in_.reporter.Log(absl::StrCat("step ", step + 1, " was voided: ", why.message()));
  GiveBackIdle();
  if (next == ShortagePolicy::Next::kSaveAndEnd) {
    return EndShortOfMemory(
        step, absl::StrCat("step ", step + 1, " does not fit with micro-batches of ", before, ", tried twice"), why);
  }
  const std::string how = next == ShortagePolicy::Next::kRepeatSmaller
                              ? absl::StrCat("with micro-batches of ", shortage_.micro_batch(), " instead of ", before)
                              : std::string("as it was, since idle memory was given back");
  in_.reporter.Say(absl::StrCat("step ", step + 1, " is made again ", how, ": ", CauseOf(std::string(why.message()))));
  return absl::OkStatus();
}

absl::Status TrainLoop::EndShortOfMemory(int64_t done, const std::string& what, const absl::Status& why) {
  std::string saved = absl::StrCat("step ", done, " is saved");
  if (done == 0) {
    saved = "no step was made, so nothing is saved";
  } else if (done != in_.first_step && done != saved_step_) {
    in_.reserve.Release();
    const absl::Status status = in_.save(done, State());
    if (!status.ok()) saved = absl::StrCat("step ", done, " could not be saved (", status.message(), ")");
  }
  return absl::ResourceExhaustedError(absl::StrCat(what, "; ", saved, ". ", why.message()));
}

absl::Status TrainLoop::AfterSkip(const StepMetrics& metrics, const AgreementVerdict& verdict) {
  const std::string what = absl::StrCat("step ", metrics.step, ": loss ", metrics.loss, ", ", verdict.non_finite,
                                        " gradient elements are not finite; nothing was updated");
  const double scale = scaler_.scale();
  scaler_.Overflowed();
  if (skips_.Skipped()) {
    return absl::FailedPreconditionError(
        absl::StrCat(what, skips_.in_a_row() > 1 ? absl::StrCat(" in ", skips_.in_a_row(), " steps in a row") : "",
                     " (train.max_skipped_steps: ", skips_.most_in_a_row(), "). Lower optimizer.lr or lengthen ",
                     "optimizer.schedule.warmup_steps; saved checkpoints are whole"));
  }
  in_.reporter.Say(absl::StrCat(
      what, scaler_.scale() != scale ? absl::StrCat("; the loss scale is ", scaler_.scale(), " from here on") : ""));
  return absl::OkStatus();
}

void TrainLoop::GiveBackIdle() {
  planned_.Forget();
  in_.budget.GiveBackIdle();
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

absl::StatusOr<EvaluationResult> TrainLoop::EvaluateInWhatThereIs() {
  ShortagePolicy shortage(shortage_.micro_batch(), shortage_.fixed());
  while (true) {
    const int64_t micro_batch = shortage.micro_batch();
    absl::StatusOr<EvaluationResult> evaluated =
        EvaluateDataset(executor_, shape_, *in_.data.validation, in_.config.train.eval_sequences.value_or(0),
                        micro_batch, in_.communicator.rank(), in_.communicator.world_size(), &in_.memory);
    if (!absl::IsResourceExhausted(evaluated.status())) return evaluated;
    if (shortage.Voided() == ShortagePolicy::Next::kSaveAndEnd) return evaluated;
    GiveBackIdle();
    in_.reporter.Say(absl::StrCat("the evaluation is made again with micro-batches of ", shortage.micro_batch(), ": ",
                                  CauseOf(std::string(evaluated.status().message()))));
  }
}

absl::Status TrainLoop::Evaluate(int64_t step) {
  if (in_.data.validation == nullptr) return absl::OkStatus();
  const PhaseScope phase(in_.memory, Phase::kEval);
  STOWAGE_RETURN_IF_ERROR(AverageBuffers(in_.state.model, in_.communicator));
  absl::StatusOr<EvaluationResult> evaluated = EvaluateInWhatThereIs();
  if (absl::IsResourceExhausted(evaluated.status())) {
    return EndShortOfMemory(step, absl::StrCat("the evaluation after step ", step, " does not fit, tried twice"),
                            evaluated.status());
  }
  STOWAGE_ASSIGN_OR_RETURN(const EvaluationResult evaluation, std::move(evaluated));
  result_.validation_loss = evaluation.loss;
  in_.reporter.Eval({step, evaluation.loss, evaluation.tokens, evaluation.seconds, evaluation.text_bytes_per_token,
                     evaluation.accuracy, Counted(in_.config)});
  return absl::OkStatus();
}

void TrainLoop::SaveInPassing(int64_t step) {
  const absl::Status status = in_.save(step, State());
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
    if (!metrics.skipped) result_.last_loss = metrics.loss;
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
  if (saved_step_ != result_.steps_done) STOWAGE_RETURN_IF_ERROR(in_.save(result_.steps_done, State()));
  result_.voided_steps = shortage_.voided();
  result_.state = State();
  return result_;
}

}  // namespace stowage
