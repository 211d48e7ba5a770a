#include "trainer/run/rehearse.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "kernels/packing.h"
#include "memory/counting_allocator.h"
#include "memory/pool/pool.h"
#include "sharding/dry_communicator.h"
#include "trainer/breakdown/breakdown.h"
#include "trainer/calibration/heap_growth.h"
#include "trainer/config/load.h"
#include "trainer/data/sampler.h"
#include "trainer/executor/exceptions.h"
#include "trainer/executor/executor.h"
#include "trainer/optimizer/loss_scaler.h"
#include "trainer/rehearsal/dry_run.h"
#include "trainer/run/evaluation.h"
#include "trainer/run/memory_marks.h"
#include "trainer/run/model_state.h"
#include "trainer/run/module_buffers.h"
#include "trainer/run/process.h"
#include "trainer/run/rehearsal_recorder.h"
#include "trainer/run/run_data.h"
#include "trainer/schedule/planner.h"
#include "trainer/schedule/verifier.h"

namespace stowage {
namespace {

// First, middle, last.
constexpr int kMostMicroBatches = 3;

// Data is really there, so it is really read: what comes out has bytes, and is computed with dry.
class RealData final : public Dataset {
 public:
  RealData(const Dataset& data, RehearsalRecorder& recorder) : data_(data), recorder_(recorder) {}
  int64_t size() const override { return data_.size(); }
  absl::StatusOr<Batch> Read(absl::Span<const SampleId> samples) const override {
    const RealTensors real;
    absl::StatusOr<Batch> batch = data_.Read(samples);
    recorder_.DataWasRead();  // perhaps on threads of its own
    return batch;
  }
  DataShape shape() const override { return data_.shape(); }
  std::string fingerprint() const override { return data_.fingerprint(); }

 private:
  const Dataset& data_;
  RehearsalRecorder& recorder_;
};

// Which of the run's micro-batches are played.
std::vector<int> ChooseMicroBatches(int count) {
  if (count <= kMostMicroBatches) {
    std::vector<int> all(count);
    for (int m = 0; m < count; ++m) all[m] = m;
    return all;
  }
  return {0, 1, count - 1};
}

// One rehearsal. All that is dry lives and dies within its DryRun.
class Stage {
 public:
  Stage(const Config& config, const OwnKinds& own, const RehearsalRequest& request, const Data& data,
        RehearsalRecorder& recorder)
      : config_(config),
        own_(own),
        request_(request),
        data_(data),
        recorder_(recorder),
        communicator_(request.world_size, request.ranks_on_host),
        cut_{config.train.global_batch, *config.train.micro_batch, request.world_size},
        micro_batches_(ChooseMicroBatches(cut_.per_rank())) {}

  absl::Status Play(MemoryMarks& memory, Rehearsal* rehearsal) {
    STOWAGE_ASSIGN_OR_RETURN(const std::unique_ptr<Optimizer> optimizer, MakeOptimizer(config_.optimizer));
    {
      STOWAGE_ASSIGN_OR_RETURN(ModelState state, MakeModelState(config_, request_.world_size, /*rank=*/0, own_));
      rehearsal->prediction.model = absl::StrCat(config_.model.kind, ": ", state.parameter_count(), " parameters");
      rehearsal->outside.segments = static_cast<int64_t>(state.model.segments.size());
      if (config_.model.kind == "rnn") rehearsal->outside.cell_steps = config_.model.layers * StepsOfASequence();
      if (request_.world_size > 1) {
        for (const auto& group : state.groups) {
          const int64_t part = group->layout().shard_numel() * static_cast<int64_t>(sizeof(float));
          rehearsal->outside.part_bytes = std::max(rehearsal->outside.part_bytes, part);
        }
      }
      memory.SetModel(ShapeOf(state.model));
      STOWAGE_RETURN_IF_ERROR(InitializeParameters(static_cast<uint64_t>(config_.run.seed), communicator_, &state));
      Executor executor(state.model, state.groups, communicator_, optimizer.get());
      const Schedule step = WriteStep(ShapeOf(state.model), static_cast<int>(micro_batches_.size()));
      STOWAGE_RETURN_IF_ERROR(VerifySchedules(ShapeOf(state.model), &rehearsal->prediction));
      recorder_.BeginPhase("first step", micro_batches_);
      STOWAGE_RETURN_IF_ERROR(Step(0, step, executor));
      STOWAGE_RETURN_IF_ERROR(recorder_.EndStep());
      recorder_.BeginPhase("step", micro_batches_);
      STOWAGE_RETURN_IF_ERROR(Step(1, step, executor));
      // Not after the evaluation too: a module may keep what it made for shapes that come up there first.
      STOWAGE_RETURN_IF_ERROR(recorder_.EndStep());
      rehearsal->step = step;
      rehearsal->model = ShapeOf(state.model);
      if (data_.validation != nullptr) {
        recorder_.BeginPhase("eval");
        STOWAGE_RETURN_IF_ERROR(Evaluate(state, executor));
        // What an evaluation leaves behind, a step finds.
        recorder_.BeginPhase("step after eval", micro_batches_);
        STOWAGE_RETURN_IF_ERROR(Step(2, step, executor));
      }
      recorder_.BeginPhase("save");
      STOWAGE_RETURN_IF_ERROR(AverageBuffers(state.model, communicator_));
    }
    recorder_.BeginPhase("load");
    STOWAGE_ASSIGN_OR_RETURN(ModelState loaded, MakeModelState(config_, request_.world_size, /*rank=*/0, own_));
    return RestoreState(/*reader=*/nullptr, optimizer.get(), communicator_, &loaded);
  }

 private:
  absl::Status Step(int64_t step, const Schedule& schedule, Executor& executor) {
    const RealData train(*data_.train, recorder_);
    const Sampler sampler(static_cast<uint64_t>(config_.run.seed), train.size(), config_.train.global_batch,
                          config_.train.epochs.has_value());
    const std::vector<SampleId> samples = sampler.GlobalBatch(0);
    PlayInputs inputs;
    inputs.mode = PassMode::kTrain;
    inputs.observer = &recorder_;
    inputs.seed = static_cast<uint64_t>(config_.run.seed);
    inputs.step = step;
    inputs.release_gradients = config_.train.zero_grad == "release";
    inputs.loss_scale = LossScaler(config_.train).scale();
    inputs.global_index = [&](int m) { return cut_.GlobalIndex(0, micro_batches_[m]); };
    inputs.batch = [&](int m) -> absl::StatusOr<Batch> {
      const int64_t index = cut_.GlobalIndex(0, micro_batches_[m]);
      if (cut_.Size(index) == 0) return Batch();
      return train.Read(absl::MakeConstSpan(samples).subspan(cut_.First(index), cut_.Size(index)));
    };
    inputs.scalars = [&](const AgreementVerdict&) -> absl::StatusOr<UpdateScalars> {
      UpdateScalars scalars;
      scalars.step = step + 1;
      return scalars;
    };
    STOWAGE_RETURN_IF_ERROR(executor.Play(schedule, inputs).status());
    return recorder_.status();
  }

  // As the run writes it.
  static Schedule WriteStep(const ModelShape& model, int micro_batches) { return WriteTrainStep(model, micro_batches); }

  // As the run will play them, with all their micro-batches; what is rehearsed is shorter.
  absl::Status VerifySchedules(const ModelShape& model, Prediction* prediction) const {
    std::vector<Schedule> schedules = {WriteStep(model, cut_.per_rank())};
    if (data_.validation != nullptr) {
      const MicroBatchCut evaluation{EvaluatedSamples(), *config_.train.micro_batch, request_.world_size};
      schedules.push_back(WriteEvaluation(model, evaluation.per_rank()));
    }
    for (const Schedule& schedule : schedules) {
      STOWAGE_RETURN_IF_ERROR(Verify(schedule, model));
      prediction->schedules.push_back(
          {schedule.name, schedule.micro_batches, static_cast<int64_t>(schedule.instructions.size())});
    }
    return absl::OkStatus();
  }

  int64_t EvaluatedSamples() const {
    const int64_t asked = config_.train.eval_sequences.value_or(0);
    return asked > 0 ? std::min(asked, data_.validation->size()) : data_.validation->size();
  }

  int64_t StepsOfASequence() const {
    return config_.model.input.has_value() && !config_.model.input->empty() ? config_.model.input->front()
                                                                            : config_.model.context;
  }

  absl::Status Evaluate(const ModelState& state, Executor& executor) {
    const RealData validation(*data_.validation, recorder_);
    const int64_t micro_batch = *config_.train.micro_batch;
    const int64_t played = std::min(EvaluatedSamples(), kMostMicroBatches * micro_batch * request_.world_size);
    STOWAGE_RETURN_IF_ERROR(EvaluateDataset(executor, ShapeOf(state.model), validation, played, micro_batch, /*rank=*/0,
                                            request_.world_size, &recorder_)
                                .status());
    return recorder_.status();
  }

  const Config& config_;
  const OwnKinds& own_;
  const RehearsalRequest& request_;
  const Data& data_;
  RehearsalRecorder& recorder_;
  DryCommunicator communicator_;
  const MicroBatchCut cut_;
  const std::vector<int> micro_batches_;
};

}  // namespace

absl::StatusOr<Rehearsal> Rehearse(const Config& asked, const OwnKinds& own, const RehearsalRequest& request) {
  const absl::Time start = absl::Now();
  STOWAGE_RETURN_IF_ERROR(SetUpProcess(request.threads));
  const Registered registered = RegisteredOf(own);
  STOWAGE_RETURN_IF_ERROR(ResolveWithoutData(asked, registered).status());

  MemoryMarks memory(ProcessMarks());
  RehearsalRecorder recorder(ProcessMarks(), memory);
  recorder.BeginPhase("init");
  const HeapBytes before_data = HeapBytes::Now();
  STOWAGE_ASSIGN_OR_RETURN(const Data data, OpenRunData(asked, own, [](const std::string&) {}));
  const HeapBytes after_data = HeapBytes::Now();
  kernels::ResetLargestPackingBytes();
  STOWAGE_ASSIGN_OR_RETURN(const Config config, ResolveConfig(asked, data.train->shape(), registered));

  Rehearsal rehearsal;
  OutsideQuery& outside = rehearsal.outside;
  outside.recurrent = config.model.kind == "rnn";
  outside.precision = config.precision;
  outside.ranks_on_host = request.ranks_on_host;
  outside.threads = request.threads;
  outside.data_heap_bytes = after_data.in_use - before_data.in_use;
  outside.data_taken_bytes = after_data.taken - before_data.taken;
  Prediction& prediction = rehearsal.prediction;
  prediction.config = request.name;
  prediction.world_size = request.world_size;
  prediction.threads = request.threads;
  prediction.global_batch = config.train.global_batch;
  prediction.micro_batch = *config.train.micro_batch;
  prediction.micro_batches_per_rank =
      MicroBatchCut{config.train.global_batch, *config.train.micro_batch, request.world_size}.per_rank();
  prediction.precision = config.precision;
  prediction.zero = absl::StrCat(*config.sharding.zero);
  prediction.recompute = config.memory.recompute;
  {
    const DryRun dry(ProcessMarks());
    Stage stage(config, own, request, data, recorder);
    STOWAGE_RETURN_IF_ERROR(Annotate(stage.Play(memory, &rehearsal), "rehearsal"));
    for (const auto& [name, bytes] : dry.workspaces().unmeasured()) prediction.assumed.push_back({name, bytes});
  }
  recorder.End();
  prediction.phases = recorder.phases();
  prediction.instructions = recorder.instructions();
  for (const PhasePrediction& phase : prediction.phases) {
    prediction.tensors_peak_bytes = std::max(prediction.tensors_peak_bytes, phase.total_peak_bytes);
  }
  prediction.pool_peak_bytes = InstalledPool()->Statistics().peak_resident;
  prediction.seconds = absl::ToDoubleSeconds(absl::Now() - start);
  outside.product_bytes = kernels::LargestPackingBytes();
  STOWAGE_ASSIGN_OR_RETURN(const MemoryBreakdown breakdown, BreakdownOf(config, request.world_size, &prediction));
  prediction.breakdown = absl::StrJoin(BreakdownLines(breakdown), "\n");
  return rehearsal;
}

}  // namespace stowage
