#include "trainer/executor/executor.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/clone.h>
#include <ATen/ops/item.h>
#include <ATen/ops/ones_like.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "kernels/dry.h"
#include "kernels/norm.h"
#include "memory/counting_allocator.h"
#include "trainer/executor/exceptions.h"
#include "trainer/model/precision.h"

namespace stowage {

namespace {

// Pairs Before and After, whatever way the instruction ends.
class Observed {
 public:
  Observed(InstructionObserver* observer, const Instruction& instruction)
      : observer_(observer), instruction_(instruction) {
    if (observer_ != nullptr) observer_->Before(instruction_);
  }
  ~Observed() {
    if (observer_ != nullptr) observer_->After(instruction_);
  }
  Observed(const Observed&) = delete;
  Observed& operator=(const Observed&) = delete;

 private:
  InstructionObserver* const observer_;
  const Instruction& instruction_;
};

// What a loss segment gave. 0 in a dry run, whose tensors hold nothing.
template <typename T>
T ValueOf(const at::Tensor& scalar) {
  return kernels::Dry() ? T{0} : scalar.item<T>();
}

}  // namespace

// Everything that lives for one Play. `trouble` is why this rank's arithmetic stopped, OK while it goes on.
struct Executor::Run {
  const Schedule& schedule;
  const PlayInputs& inputs;
  absl::Status trouble;
  AgreementWords words;
  AgreementVerdict verdict;
  UpdateScalars scalars;
  std::vector<Event> events;

  // Of a micro-batch in flight.
  struct Micro {
    Batch batch;
    std::vector<at::Tensor> flow;           // what the last segment gave
    std::vector<at::Tensor> gradient_flow;  // what the last backward gave
    std::vector<Tape> tapes;                // by segment
  };
  std::vector<Micro> micros;
};

// What a step that ends in an error puts back.
struct Executor::Before {
  std::vector<std::pair<at::Tensor, at::Tensor>> buffers;  // of modules, and what they held
  std::vector<bool> optimizer_state;                       // by group: whether there was any
};

Executor::Executor(const Model& model, GroupStates& groups, Communicator& communicator, const Optimizer* optimizer)
    : model_(model), groups_(groups), communicator_(communicator), optimizer_(optimizer), verified_(ShapeOf(model)) {}

absl::Status Executor::Forward(Run& run, const Instruction& instruction) {
  const int last = static_cast<int>(model_.segments.size()) - 1;
  Run::Micro& micro = run.micros[instruction.micro];
  if (instruction.target == 0) {
    CategoryScope scope(Category::kData);
    STOWAGE_ASSIGN_OR_RETURN(micro.batch, run.inputs.batch(instruction.micro));
    micro.tapes.resize(model_.segments.size());
  }
  if (micro.batch.samples == 0) return absl::OkStatus();

  CategoryScope scope(Category::kActivations);
  const bool keep = instruction.keep == Keep::kAll;
  SegmentContext context;
  context.mode = run.inputs.mode;
  context.batch = &micro.batch;
  context.random_key = HashKey({run.inputs.seed, static_cast<uint64_t>(run.inputs.step),
                                static_cast<uint64_t>(run.inputs.global_index(instruction.micro)),
                                static_cast<uint64_t>(instruction.target)});
  const SegmentSpec& segment = model_.segments[instruction.target];
  context.compute = segment.compute;
  std::vector<at::Tensor> outputs = RunForward(segment, micro.flow, ParametersFor(segment, groups_, keep), context,
                                               keep ? &micro.tapes[instruction.target] : nullptr);
  STOWAGE_RETURN_IF_ERROR(shapes_.Check(instruction.target, segment.name, micro.flow, context, outputs));
  micro.flow = std::move(outputs);
  if (instruction.target == last) {
    run.words.loss_sum += ValueOf<double>(micro.flow[0]);
    run.words.tokens += micro.batch.loss_terms;
    if (run.inputs.mode == PassMode::kEvaluate && micro.flow.size() > 1) {
      run.words.judged += micro.batch.samples;
      run.words.correct += ValueOf<int64_t>(micro.flow[1]);
    }
    if (!keep) micro = Run::Micro();
  }
  return absl::OkStatus();
}

absl::Status Executor::Backward(Run& run, const Instruction& instruction) {
  const int last = static_cast<int>(model_.segments.size()) - 1;
  Run::Micro& micro = run.micros[instruction.micro];
  if (micro.batch.samples == 0) return absl::OkStatus();
  CategoryScope scope(Category::kActivations);
  if (instruction.target == last) {
    // The loss is summed over its terms; the division by their number, over all ranks, is part of `update`.
    micro.gradient_flow.assign(micro.flow.size(), at::Tensor());
    micro.gradient_flow[0] = at::ones_like(micro.flow[0]);
    micro.flow.clear();
  }
  micro.gradient_flow = RunBackward(ParametersFor(model_.segments[instruction.target], groups_, /*with_gradient=*/true),
                                    micro.gradient_flow, &micro.tapes[instruction.target]);
  if (instruction.target == 0) micro = Run::Micro();
  return absl::OkStatus();
}

absl::Status Executor::FinishGradients(Run&, const Instruction& instruction) {
  groups_[instruction.target]->FinishGradients();
  return absl::OkStatus();
}

void Executor::Update(GroupState& group, const Run& run) {
  // After `agree` a step cannot be undone, so what may fail here must not matter: without these bytes the next forward
  // makes the copies, by a pass of its own.
  CatchExceptions([&] { group.TakeCopies(); }).IgnoreError();
  group.Update(*optimizer_, run.scalars);
  if (run.inputs.release_gradients) group.ReleaseGradients();
}

std::string Executor::TargetName(const Instruction& instruction) const {
  const bool segment = TargetOf(instruction.op) == TargetKind::kSegment;
  return segment ? model_.segments[instruction.target].name : model_.groups[instruction.target].name;
}

absl::Status Executor::Agree(Run& run) {
  // The owner of a shard sums its squares; shards are cut alike at every ZeRO stage, so the norm's bits are too.
  for (const auto& group : groups_) {
    if (!group->has_gradients()) continue;
    const int64_t shard = group->layout().shard_numel();
    const kernels::NormResult norm =
        kernels::SumOfSquares(group->gradients_data() + communicator_.rank() * shard, shard);
    run.words.sum_of_squares += norm.sum_of_squares;
    run.words.non_finite += norm.non_finite;
  }
  if (run.inputs.before_agree) run.inputs.before_agree(&run.words);
  run.words.trouble = run.trouble;
  STOWAGE_ASSIGN_OR_RETURN(run.verdict, stowage::Agree(communicator_, run.words));
  if (run.verdict.trouble_rank >= 0) {
    return Annotate(run.verdict.trouble, absl::StrCat("rank ", run.verdict.trouble_rank));
  }
  return absl::OkStatus();
}

absl::StatusOr<AgreementVerdict> Executor::Play(const Schedule& schedule, const PlayInputs& inputs) {
  STOWAGE_RETURN_IF_ERROR(verified_.Check(schedule));
  Before before;
  absl::StatusOr<AgreementVerdict> verdict = PlayThrough(schedule, inputs, &before);
  if (!verdict.ok()) PutBack(before);
  return verdict;
}

absl::Status Executor::Prepare(const Schedule& schedule, Before* before) {
  STOWAGE_RETURN_IF_ERROR(Annotate(CatchExceptions([&] {
                                     for (const SegmentSpec& segment : model_.segments) {
                                       for (const auto& [name, tensor] : segment.segment->Buffers()) {
                                         before->buffers.emplace_back(tensor, tensor.clone());
                                       }
                                     }
                                   }),
                                   "keeping the modules' buffers"));
  // What a collective needs is taken before the first instruction, so that none can lack its buffer. A group that no
  // segment uses is not reduced and has none: nobody would write it, and `agree` would sum up what lay there.
  const auto take = communicator_.world_size() > 1 ? GroupState::Take::kNow : GroupState::Take::kWhenWritten;
  std::vector<bool> reduced(groups_.size(), false);
  for (const Instruction& i : schedule.instructions) {
    if (i.op == Op::kReduce) reduced[i.target] = true;
  }
  for (size_t g = 0; g < groups_.size(); ++g) {
    GroupState* const group = groups_[g].get();
    before->optimizer_state.push_back(group->has_optimizer_state());
    if (reduced[g]) {
      STOWAGE_RETURN_IF_ERROR(Annotate(CatchExceptions([&] { group->BeginGradients(take); }),
                                       absl::StrCat("gradients of ", group->spec().name)));
    }
    STOWAGE_RETURN_IF_ERROR(Annotate(CatchExceptions([&] { group->EnsureOptimizerState(*optimizer_); }),
                                     absl::StrCat("optimizer state of ", group->spec().name)));
  }
  return absl::OkStatus();
}

void Executor::PutBack(const Before& before) {
  at::NoGradGuard no_grad;
  for (const auto& [buffer, value] : before.buffers) buffer.copy_(value);
  // Groups that Prepare came to. Copies are made again when a forward wants them.
  for (size_t g = 0; g < before.optimizer_state.size(); ++g) {
    groups_[g]->ReleaseGradients();
    groups_[g]->ReleaseCopies();
    if (!before.optimizer_state[g]) groups_[g]->ReleaseOptimizerState();
  }
}

absl::StatusOr<AgreementVerdict> Executor::PlayThrough(const Schedule& schedule, const PlayInputs& inputs,
                                                       Before* before) {
  Run run{schedule, inputs};
  run.micros.resize(schedule.micro_batches);
  run.events.resize(schedule.events);
  const bool updates = std::any_of(schedule.instructions.begin(), schedule.instructions.end(),
                                   [](const Instruction& i) { return i.op == Op::kUpdate; });
  if (updates) {
    STOWAGE_CHECK(optimizer_ != nullptr && inputs.scalars) << schedule.name;
    STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator_, Prepare(schedule, before)));
  }

  // Arithmetic that fails stops this rank's arithmetic until `agree`, not its collectives.
  const auto compute = [&](const Instruction& i, absl::Status (Executor::*what)(Run&, const Instruction&)) {
    if (!run.trouble.ok()) return;
    absl::Status status;
    const absl::Status thrown = CatchExceptions([&] { status = (this->*what)(run, i); });
    if (!thrown.ok()) status = thrown;
    if (!status.ok()) {
      run.trouble = Annotate(status, absl::StrCat(OpName(i.op), " ", TargetName(i)));
      run.micros.assign(schedule.micro_batches, Run::Micro());
    }
  };

  for (const Instruction& i : schedule.instructions) {
    const Observed observed(inputs.observer, i);
    switch (i.op) {
      case Op::kForward:
        compute(i, &Executor::Forward);
        break;
      case Op::kBackward:
        compute(i, &Executor::Backward);
        break;
      case Op::kRelease:
        groups_[i.target]->ReleaseCopies();
        break;
      case Op::kReduce: {
        compute(i, &Executor::FinishGradients);
        GroupState& group = *groups_[i.target];
        // Only a rank that is alone can have none, after trouble: nobody waits for its part.
        if (!group.has_gradients()) break;
        run.events[i.event] =
            communicator_.AllReduce(group.gradients_data(), group.layout().whole_numel(), DType::kFloat32);
        break;
      }
      case Op::kWait:
        if (absl::Status status = run.events[i.event].Wait(); !status.ok()) {
          // What others still work on is not to be freed under them.
          for (const Event& event : run.events) event.Wait().IgnoreError();
          return status;
        }
        break;
      case Op::kAgree:
        STOWAGE_RETURN_IF_ERROR(Agree(run));
        if (updates) {
          STOWAGE_ASSIGN_OR_RETURN(run.scalars, inputs.scalars(run.verdict));
        }
        break;
      case Op::kUpdate:
        Update(*groups_[i.target], run);
        break;
    }
  }
  return run.verdict;
}

ModelShape ShapeOf(const Model& model) {
  ModelShape shape;
  const std::vector<std::vector<bool>> in_bf16 = Bf16Parameters(model);
  for (size_t g = 0; g < model.groups.size(); ++g) {
    shape.groups.push_back(model.groups[g].name);
    shape.copied.push_back(std::find(in_bf16[g].begin(), in_bf16[g].end(), true) != in_bf16[g].end());
  }
  for (const SegmentSpec& segment : model.segments) {
    shape.segments.push_back(segment.name);
    std::vector<int> used, read;
    const auto add = [](int group, std::vector<int>* to) {
      if (std::find(to->begin(), to->end(), group) == to->end()) to->push_back(group);
    };
    for (const ParameterId& id : segment.parameters) {
      add(id.group, &used);
      const bool kept = model.groups[id.group].parameters[id.parameter].keep_fp32;
      if (segment.parameter_dtype() == at::kBFloat16 && !kept) add(id.group, &read);
    }
    shape.groups_used.push_back(std::move(used));
    shape.copies_read_by_backward.push_back(std::move(read));
  }
  return shape;
}

}  // namespace stowage
