#include "trainer/run/train_run.h"

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "memory/budget/machine_memory.h"
#include "sharding/agreement.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/config/load.h"
#include "trainer/executor/exceptions.h"
#include "trainer/metrics/report.h"
#include "trainer/preset/say_presets.h"
#include "trainer/run/evaluation.h"
#include "trainer/run/hf_start.h"
#include "trainer/run/host_budget.h"
#include "trainer/run/mark_difference.h"
#include "trainer/run/marks_report.h"
#include "trainer/run/memory_marks.h"
#include "trainer/run/memory_summary.h"
#include "trainer/run/model_state.h"
#include "trainer/run/module_buffers.h"
#include "trainer/run/plan_json.h"
#include "trainer/run/process.h"
#include "trainer/run/resume.h"
#include "trainer/run/run_data.h"
#include "trainer/run/run_folder.h"
#include "trainer/run/same_config.h"
#include "trainer/run/save_reserve.h"
#include "trainer/run/signals.h"
#include "trainer/run/speak.h"
#include "trainer/run/train_loop.h"
#include "trainer/run/train_state.h"

namespace stowage {
namespace {

// A line for the person, before a Reporter exists.
void Print(const TrainOptions& options, int rank, const std::string& line) {
  if (rank != 0 || options.quiet) return;
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

// Rank 0 opens (and locks) the run folder; all ranks learn whether it could.
absl::Status OpenRunFolder(const std::string& path, bool resume, Communicator& communicator,
                           std::optional<RunFolder>* folder) {
  absl::Status status;
  if (communicator.rank() == 0) {
    absl::StatusOr<RunFolder> opened = RunFolder::Open(path, resume);
    status = opened.status();
    if (status.ok()) folder->emplace(*std::move(opened));
  }
  return AgreeOnStatus(communicator, status);
}

absl::StatusOr<Data> OpenDataTogether(const Config& config, Communicator& communicator, const TrainOptions& options,
                                      const OwnKinds& own) {
  absl::StatusOr<Data> data =
      OpenRunData(config, own, [&](const std::string& line) { Print(options, communicator.rank(), line); });
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator, data.status()));
  return data;
}

struct Restored {
  int64_t step = 0;
  TrainState state;
};

// The checkpoint to go on from: found, checked and read on rank 0; its step and state on all ranks.
absl::StatusOr<Restored> Restore(const std::string& folder, const CheckpointInfo& here, const Optimizer& optimizer,
                                 Communicator& communicator, const TrainOptions& options, const TrainState& first,
                                 ModelState* state) {
  std::optional<CheckpointReader> reader;
  absl::Status status;
  if (communicator.rank() == 0) {
    std::vector<std::string> said;
    absl::StatusOr<CheckpointReader> newest = OpenNewest(folder, &said);
    status = newest.ok() ? CheckResume(newest->info(), here, &said) : newest.status();
    for (const std::string& line : said) Print(options, 0, line);
    if (status.ok()) reader.emplace(*std::move(newest));
  }
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator, status));
  STOWAGE_RETURN_IF_ERROR(RestoreState(reader ? &*reader : nullptr, &optimizer, communicator, state));
  STOWAGE_ASSIGN_OR_RETURN(const std::vector<std::string> steps,
                           communicator.ExchangeText(reader ? absl::StrCat(reader->info().step) : ""));
  STOWAGE_ASSIGN_OR_RETURN(const std::vector<std::string> states,
                           communicator.ExchangeText(reader ? LinesOf(reader->info().state) : ""));
  Restored restored;
  restored.step = std::stoll(steps[0]);
  STOWAGE_ASSIGN_OR_RETURN(restored.state, TrainStateOf(TextsOfLines(states[0]), first));
  return restored;
}

absl::StatusOr<SaveReserve> ReserveForSave(const CheckpointInfo& info, const ModelState& state,
                                           const Optimizer& optimizer, int world_size) {
  // A group's shard may end within a tensor, which is two pieces then.
  int64_t tensors = static_cast<int64_t>(state.groups.size()) * world_size, name_bytes = 0;
  const int64_t states = static_cast<int64_t>(optimizer.state_tensors().size());
  for (const auto& group : state.groups) {
    for (const ParameterSpec& p : group->spec().parameters) {
      tensors += 1 + states;
      name_bytes += (1 + states) * static_cast<int64_t>(p.name.size() + 32);
    }
  }
  for (const ModuleBuffer& buffer : BuffersOf(state.model)) {
    ++tensors;
    name_bytes += static_cast<int64_t>(buffer.name.size());
  }
  return SaveReserve::Take(SaveBytes(info, tensors, name_bytes, world_size));
}

absl::StatusOr<TrainOutcome> TrainTogether(const Config& asked, Communicator& communicator, const TrainOptions& options,
                                           const OwnKinds& own) {
  const Registered registered = RegisteredOf(own);
  const SignalWatch signals;  // from here on a signal is answered at the next `agree`
  MemoryMarks memory(ProcessMarks());
  const int rank = communicator.rank(), world_size = communicator.world_size();
  TrainOutcome outcome;
  outcome.run_dir = options.run_dir.empty() ? absl::StrCat("runs/", asked.run.name) : options.run_dir;

  STOWAGE_RETURN_IF_ERROR(CheckSameConfig(
      asked, absl::StrCat("--run-dir ", outcome.run_dir, options.resume ? " --resume" : ""), communicator, registered));
  // What can be refused from the config alone is refused before a folder is made.
  STOWAGE_RETURN_IF_ERROR(ResolveWithoutData(asked, registered).status());
  // Before the first large block, the data's included.
  const absl::StatusOr<std::shared_ptr<HostBudget>> acquired =
      HostBudget::Acquire(asked.memory, communicator.placement(), HostBudget::RanksInProcess(communicator));
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator, acquired.status()));
  const std::shared_ptr<HostBudget> budget = *acquired;
  for (const std::string& warning : budget->resolved().warnings) Print(options, rank, warning);
  if (const absl::StatusOr<MachineMemory> machine = ReadMachineMemory(); machine.ok()) {
    const int local_size = communicator.placement().local_size;
    for (const std::string& line : SayPresets(asked, *machine, local_size)) Print(options, rank, line);
  }
  STOWAGE_ASSIGN_OR_RETURN(const Data data, OpenDataTogether(asked, communicator, options, own));
  STOWAGE_ASSIGN_OR_RETURN(const Config config, ResolveConfig(asked, data.train->shape(), registered));
  if (!options.resume) {
    STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator, CheckTokensOfFolder(config, data)));
  }
  STOWAGE_ASSIGN_OR_RETURN(const std::unique_ptr<Optimizer> optimizer, MakeOptimizer(config.optimizer));

  // Before a folder is made: what a config says of segments can only be judged by the model.
  absl::StatusOr<ModelState> made = MakeModelState(config, world_size, rank, own);
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator, made.status()));
  ModelState state = *std::move(made);

  std::optional<RunFolder> folder;
  STOWAGE_RETURN_IF_ERROR(OpenRunFolder(outcome.run_dir, options.resume, communicator, &folder));
  if (!options.why_no_plan.empty() && !options.quiet) {
    Complain(absl::StrCat("no plan of this run, training goes on without: ", options.why_no_plan));
  }

  const Sampler sampler(static_cast<uint64_t>(config.run.seed), data.train->size(), config.train.global_batch,
                        config.train.epochs.has_value());
  const int64_t total_steps =
      config.train.epochs ? *config.train.epochs * sampler.steps_per_epoch() : *config.train.steps;
  const MicroBatchCut cut{config.train.global_batch, *config.train.micro_batch, world_size};
  const Schedule step_schedule = WriteTrainStep(ShapeOf(state.model), cut.per_rank());
  memory.SetModel(ShapeOf(state.model));
  if (rank == 0) memory.Trace(config.memory.trace.value_or(0), outcome.run_dir);
  const std::string plan = PlanJson(config, state.model, step_schedule, world_size, options.threads);
  TrainState train_state = FirstTrainState(config);
  const auto info = [&](int64_t step, const TrainState& at) {
    CheckpointInfo made =
        MakeCheckpointInfo(config, step, data.train->fingerprint(), world_size, options.threads, plan);
    made.state = TextsOf(at);
    if (data.tokenizer != nullptr) made.tokenizer_model = data.tokenizer->model();
    return made;
  };
  const std::string checkpoints = outcome.run_dir + "/checkpoints";

  const auto count = [](int64_t n, absl::string_view what) { return absl::StrCat(n, " ", what, n == 1 ? "" : "s"); };
  const std::string batch = config.model.input ? count(config.train.global_batch, "sample")
                                               : absl::StrCat(count(config.train.global_batch, "sequence"), " of ",
                                                              count(config.model.context, "token"));
  Print(options, rank,
        absl::StrCat(config.model.kind, ": ", state.parameter_count(), " parameters; a step is ", batch, ", ",
                     cut.total(), cut.total() == 1 ? " micro-batch" : " micro-batches", " of ",
                     *config.train.micro_batch, " on ", count(world_size, "rank"), " (", communicator.name(), ")"));

  int64_t first_step = 0;
  if (options.resume) {
    const PhaseScope phase(memory, Phase::kLoad);
    STOWAGE_ASSIGN_OR_RETURN(const Restored restored, Restore(checkpoints, info(0, train_state), *optimizer,
                                                              communicator, options, train_state, &state));
    first_step = restored.step;
    train_state = restored.state;
    Print(options, rank, absl::StrCat("resumed at step ", first_step, " of ", total_steps));
    if (train_state.micro_batch != *config.train.micro_batch) {
      Print(options, rank,
            absl::StrCat("micro-batches of ", train_state.micro_batch, " instead of ", *config.train.micro_batch,
                         ": memory had been short"));
    }
    if (first_step > total_steps) {
      return absl::FailedPreconditionError(absl::StrCat("train.steps: the checkpoint is at step ", first_step,
                                                        ", beyond the ", total_steps, " asked for"));
    }
  } else {
    const PhaseScope phase(memory, config.model.init_from.empty() ? Phase::kInit : Phase::kLoad);
    STOWAGE_RETURN_IF_ERROR(config.model.init_from.empty()
                                ? InitializeParameters(static_cast<uint64_t>(config.run.seed), communicator, &state)
                                : InitializeFromFolder(config, communicator, &state));
  }

  absl::Status written;
  if (rank == 0) {
    // A bound that depends on the machine stays as it was asked for, so that the file means the same elsewhere.
    written = WriteFileDurably(folder->File("config.yaml"),
                               absl::StrCat(ConfigToYaml(config), "\n# Here: ", budget->resolved().source, "\n"));
    if (written.ok()) written = WriteFileDurably(folder->File("plan.json"), plan);
  }
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator, written));
  absl::StatusOr<Reporter> reporter =
      Reporter::Open(outcome.run_dir, rank, options.quiet, total_steps,
                     options.resume ? std::optional<int64_t>(first_step) : std::nullopt);
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator, reporter.status()));
  reporter->Log(absl::StrCat("rank ", rank, " of ", world_size, " on ", communicator.placement().host, ", ",
                             options.thread_description));
  reporter->Log(budget->resolved().source);
  for (const std::string& warning : budget->resolved().warnings) reporter->Log(warning);

  const auto save = [&](int64_t step, const TrainState& at) -> absl::Status {
    const PhaseScope phase(memory, Phase::kSave);
    const absl::Status state_made = CatchExceptions([&] {
      for (const auto& group : state.groups) group->EnsureOptimizerState(*optimizer);
    });
    STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator, Annotate(state_made, "optimizer state to be saved")));
    STOWAGE_RETURN_IF_ERROR(AverageBuffers(state.model, communicator));
    std::vector<std::string> said;
    absl::StatusOr<std::string> saved =
        SaveCheckpoint(communicator, checkpoints, info(step, at), PiecesToSave(*optimizer, rank, world_size, state),
                       config.checkpoint.keep, &said);
    for (const std::string& line : said) reporter->Say(line);
    if (saved.ok()) reporter->Log(absl::StrCat("saved ", *saved));
    return saved.status();
  };
  absl::StatusOr<SaveReserve> reserve = ReserveForSave(info(0, train_state), state, *optimizer, world_size);
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator, reserve.status()));
  const PhaseScope training(memory, Phase::kTrain);  // to the report: between steps and after the last one too
  TrainLoop loop({memory, config, communicator, state, *optimizer, data, sampler, *reporter, signals, *budget, *reserve,
                  first_step, total_steps, asked.train.micro_batch.has_value(), train_state, save});
  absl::StatusOr<TrainLoopResult> result = loop.Run();
  const absl::Status traced = memory.WriteTrace();  // of a run that ended before all steps to trace
  if (!traced.ok()) reporter->Say(absl::StrCat("the memory trace was not written: ", traced.message()));
  if (!result.ok()) {
    reporter->Log(absl::StrCat("ended by: ", result.status().message()));
    reporter->Finish();
    return result.status();
  }
  reporter->Finish();

  absl::StatusOr<MemoryTable> table = SummarizeMemory(memory.overall(), communicator);
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator, table.status()));
  const std::vector<std::string> table_lines = MemoryTableLines(*table);
  for (const std::string& line : table_lines) reporter->Log(line);
  Print(options, rank, absl::StrCat("\n", absl::StrJoin(table_lines, "\n")));

  outcome.steps_done = result->steps_done;
  outcome.last_loss = result->last_loss;
  outcome.validation_loss = result->validation_loss;
  outcome.stop_signal = result->stop_signal;
  outcome.stopped = result->stop_signal != 0;
  if (rank == 0) {
    Report report;
    report.finished = !outcome.stopped;
    report.steps = result->steps_done;
    report.skipped_steps = result->state.skipped_steps;
    report.voided_steps = result->voided_steps;
    report.micro_batch = result->state.micro_batch;
    report.last_loss = result->last_loss;
    if (data.validation != nullptr && !outcome.stopped) report.validation_loss = result->validation_loss;
    report.tokens = result->tokens;
    report.seconds = result->step_seconds;
    report.measured_peak_bytes = result->memory_peak_bytes;
    report.memory = *table;
    ReportMarks(memory, &report);
    if (options.prediction.has_value()) {
      ReportPrediction(*options.prediction, &report);
      report.first_difference = FirstDifference(*options.prediction, memory.instructions());
    }
    if (report.first_difference.has_value()) {
      const std::string line = DifferenceWords(*report.first_difference);
      reporter->Log(line);
      if (PeaksDiffer(report)) Print(options, rank, line);
    }
    if (result->planned.has_value()) {
      const PlannedStatistics& planned = *result->planned;
      report.planned = {planned.arena_bytes, planned.peak_live_bytes, planned.steps, planned.served,
                        planned.fallbacks()};
    }
    report.world_size = world_size;
    report.threads = options.threads;
    report.versions = {{"libtorch", LibTorchVersion()}, {"cpu", CpuKind()}};
    report.rss_peak_bytes = table->rss_peak_bytes;
    written = WriteReport(folder->File("report.json"), report);
  }
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator, written));
  return outcome;
}

}  // namespace

absl::StatusOr<TrainOutcome> Train(const Config& config, Communicator& communicator, const TrainOptions& options,
                                   const OwnKinds& own) {
  absl::StatusOr<TrainOutcome> outcome = TrainTogether(config, communicator, options, own);
  // Every other error was agreed on by all ranks. This one is a communicator that broke under this rank: the others
  // may be waiting for it.
  if (absl::IsUnavailable(outcome.status())) communicator.Abort(outcome.status());
  return outcome;
}

absl::StatusOr<EvalOutcome> Evaluate(const std::string& run_dir_or_checkpoint, Communicator& communicator,
                                     int64_t sequences, const OwnKinds& own) {
  STOWAGE_ASSIGN_OR_RETURN(LoadedModel loaded, LoadModel(run_dir_or_checkpoint, communicator, own));
  if (!loaded.has_data) {
    return absl::FailedPreconditionError(absl::StrCat(
        loaded.path, ": a Hugging Face folder names no data to measure on; start a run from it (model.init_from)"));
  }
  TrainOptions quiet;
  quiet.quiet = true;
  STOWAGE_ASSIGN_OR_RETURN(const Data data, OpenDataTogether(loaded.config, communicator, quiet, own));
  if (data.validation == nullptr) {
    return absl::FailedPreconditionError(
        "this experiment has no validation set: give data.validation, or a data.validation_fraction above 0");
  }
  Executor executor(loaded.state.model, loaded.state.groups, communicator, nullptr);
  STOWAGE_ASSIGN_OR_RETURN(
      const EvaluationResult result,
      EvaluateDataset(executor, ShapeOf(loaded.state.model), *data.validation, sequences,
                      *loaded.config.train.micro_batch, communicator.rank(), communicator.world_size()));
  return EvalOutcome{
      result.loss,     result.text_bytes_per_token,          result.tokens, result.seconds, loaded.step, loaded.path,
      result.accuracy, loaded.config.model.input.has_value()};
}

}  // namespace stowage
