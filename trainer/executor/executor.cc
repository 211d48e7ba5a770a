#include "trainer/executor/executor.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/clone.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/item.h>

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

// Whether a step's gradients are summed up over ranks more than once.
bool ByMicroBatch(const Schedule& schedule) {
  return schedule.micro_batches > 1 && std::any_of(schedule.instructions.begin(), schedule.instructions.end(),
                                                   [](const Instruction& i) { return i.op == Op::kReduce && i.micro >= 0; });
}

// What a loss segment gave. 0 in a dry run, whose tensors hold nothing.
template <typename T>
T ValueOf(const at::Tensor& scalar) {
  return kernels::Dry() ? T{0} : scalar.item<T>();
}

// Buffers of modules, and what they held.
using BufferValues = std::vector<std::pair<at::Tensor, at::Tensor>>;

void AppendBuffers(const SegmentSpec& segment, BufferValues* values) {
  at::NoGradGuard no_grad;
  for (const auto& [name, buffer] : segment.segment->Buffers()) values->emplace_back(buffer, buffer.clone());
}

// Past autograd's versions: a tape may hold a buffer (BatchNorm's does) without reading what is put back here.
void PutBackBuffers(const BufferValues& values) {
  at::NoGradGuard no_grad;
  for (const auto& [buffer, value] : values) buffer.variable_data().copy_(value);
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
  // Of a schedule's event: what other lanes do until it, and which reduction ends with it (null: none).
  struct Pending {
    std::vector<Event> events;
    GroupState* reduced = nullptr;
  };
  std::vector<Pending> events;
  std::vector<bool> recomputed;  // by segment: whether some instruction does

  // Of a micro-batch in flight.
  struct Micro {
    Batch batch;
    std::vector<at::Tensor> flow;           // what the last segment gave
    std::vector<at::Tensor> gradient_flow;  // what the last backward gave
    std::vector<Tape> tapes;                // by segment
    // By segment, of those that are recomputed:
    std::vector<std::vector<at::Tensor>> inputs;   // kept, in the dtype that it computes in
    std::vector<std::vector<at::Tensor>> replays;  // what a recompute gave
    std::vector<BufferValues> buffers;             // as the first run found them
  };
  std::vector<Micro> micros;
};

// What a step that ends in an error puts back.
struct Executor::Before {
  BufferValues buffers;
  std::vector<bool> optimizer_state;  // by group: whether there was any
};

Executor::Executor(const Model& model, GroupStates& groups, Communicator& communicator, const Optimizer* optimizer)
    : model_(model), groups_(groups), communicator_(communicator), optimizer_(optimizer), verified_(ShapeOf(model)) {}

SegmentContext Executor::ContextOf(Run& run, const Instruction& instruction) const {
  SegmentContext context;
  context.mode = run.inputs.mode;
  context.batch = &run.micros[instruction.micro].batch;
  context.random_key = HashKey({run.inputs.seed, static_cast<uint64_t>(run.inputs.step),
                                static_cast<uint64_t>(run.inputs.global_index(instruction.micro)),
                                static_cast<uint64_t>(instruction.target)});
  context.compute = model_.segments[instruction.target].compute;
  context.loss_scale = run.inputs.loss_scale;
  return context;
}

absl::Status Executor::Forward(Run& run, const Instruction& instruction) {
  const int last = static_cast<int>(model_.segments.size()) - 1;
  Run::Micro& micro = run.micros[instruction.micro];
  if (instruction.target == 0) {
    CategoryScope scope(Category::kData);
    STOWAGE_ASSIGN_OR_RETURN(micro.batch, run.inputs.batch(instruction.micro));
    micro.tapes.resize(model_.segments.size());
    micro.inputs.resize(model_.segments.size());
    micro.replays.resize(model_.segments.size());
    micro.buffers.resize(model_.segments.size());
  }
  if (micro.batch.samples == 0) return absl::OkStatus();

  CategoryScope scope(Category::kActivations);
  const SegmentContext context = ContextOf(run, instruction);
  const SegmentSpec& segment = model_.segments[instruction.target];
  if (run.recomputed[instruction.target]) AppendBuffers(segment, &micro.buffers[instruction.target]);
  // In training always with autograd: operators may take another way without.
  const bool graph = instruction.keep == Keep::kAll || run.inputs.mode == PassMode::kTrain;
  Tape tape;
  std::vector<at::Tensor> outputs =
      RunForward(segment, micro.flow, ParametersFor(segment, groups_, graph), context, graph ? &tape : nullptr);
  if (instruction.keep == Keep::kAll) micro.tapes[instruction.target] = std::move(tape);
  if (instruction.keep == Keep::kInputs) micro.inputs[instruction.target] = std::move(tape.inputs);
  STOWAGE_RETURN_IF_ERROR(shapes_.Check(instruction.target, segment.name, micro.flow, context, outputs));
  micro.flow = std::move(outputs);
  if (instruction.target == last) {
    run.words.loss_sum += ValueOf<double>(micro.flow[0]);
    run.words.tokens += micro.batch.loss_terms;
    if (run.inputs.mode == PassMode::kEvaluate && micro.flow.size() > 1) {
      run.words.judged += micro.batch.samples;
      run.words.correct += ValueOf<int64_t>(micro.flow[1]);
    }
    if (instruction.keep == Keep::kNothing) micro = Run::Micro();
  }
  return absl::OkStatus();
}

absl::Status Executor::Recompute(Run& run, const Instruction& instruction) {
  const int s = instruction.target;
  Run::Micro& micro = run.micros[instruction.micro];
  if (micro.batch.samples == 0) return absl::OkStatus();
  CategoryScope scope(Category::kActivations);
  std::vector<at::Tensor> inputs;
  if (instruction.from == From::kBefore) {
    inputs = std::move(micro.replays[s - 1]);
    micro.replays[s - 1].clear();
  } else if (instruction.keep == Keep::kInputs) {
    inputs = micro.inputs[s];
  } else {
    inputs = std::move(micro.inputs[s]);
    micro.inputs[s].clear();
  }
  const SegmentSpec& segment = model_.segments[s];
  const SegmentContext context = ContextOf(run, instruction);
  BufferValues buffers;
  AppendBuffers(segment, &buffers);
  PutBackBuffers(micro.buffers[s]);
  Tape tape;
  std::vector<at::Tensor> outputs =
      RunForward(segment, inputs, ParametersFor(segment, groups_, /*with_gradient=*/true), context, &tape);
  PutBackBuffers(buffers);
  STOWAGE_RETURN_IF_ERROR(shapes_.Check(s, segment.name, inputs, context, outputs));
  micro.replays[s] = std::move(outputs);
  if (instruction.keep == Keep::kAll) micro.tapes[s] = std::move(tape);
  if (instruction.keep == Keep::kInputs) micro.inputs[s] = std::move(tape.inputs);
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
    micro.gradient_flow[0] = at::full_like(micro.flow[0], run.inputs.loss_scale);
    micro.flow.clear();
  }
  micro.replays[instruction.target].clear();
  micro.buffers[instruction.target].clear();
  micro.gradient_flow = RunBackward(ParametersFor(model_.segments[instruction.target], groups_, /*with_gradient=*/true),
                                    micro.gradient_flow, &micro.tapes[instruction.target]);
  if (instruction.target == 0) micro = Run::Micro();
  return absl::OkStatus();
}

absl::Status Executor::FinishGradients(Run&, const Instruction& instruction) {
  groups_[instruction.target]->FinishGradients();
  return absl::OkStatus();
}

// Arithmetic that fails stops this rank's arithmetic until `agree`, not its collectives.
void Executor::NoteTrouble(Run& run, const Instruction& instruction, const absl::Status& status) {
  if (status.ok() || !run.trouble.ok()) return;
  run.trouble = Annotate(status, absl::StrCat(OpName(instruction.op), " ", TargetName(instruction)));
  run.micros.assign(run.schedule.micro_batches, Run::Micro());
}

// The bytes of a collective that the peers wait for. What the step holds is worth less: it goes, and they are asked for
// once more.
absl::Status Executor::TakeForCollective(Run& run, const Instruction& instruction, absl::FunctionRef<void()> take) {
  const absl::Status first = CatchExceptions(take);
  if (first.ok()) return first;
  NoteTrouble(run, instruction, first);
  const absl::Status second = CatchExceptions(take);
  if (second.ok()) return second;
  const absl::Status cause = absl::UnavailableError(
      absl::StrCat(OpName(instruction.op), " ", TargetName(instruction),
                   ": no memory for what all ranks exchange there, so the step can be neither ended nor made again: ",
                   second.message()));
  communicator_.Abort(cause);
  // What others still work on is not to be freed under them.
  for (const Run::Pending& pending : run.events) {
    for (const Event& event : pending.events) event.Wait().IgnoreError();
  }
  return cause;
}

absl::Status Executor::Gather(Run& run, const Instruction& instruction) {
  // Nobody waits for a rank that is alone.
  if (!run.trouble.ok() && communicator_.world_size() == 1) return absl::OkStatus();
  GroupState& group = *groups_[instruction.target];
  STOWAGE_RETURN_IF_ERROR(TakeForCollective(run, instruction, [&] { group.TakeGathered(); }));
  run.events[instruction.event].events = group.Gather(communicator_);
  return absl::OkStatus();
}

absl::Status Executor::Reduce(Run& run, const Instruction& instruction) {
  if (!run.trouble.ok() && communicator_.world_size() == 1) return absl::OkStatus();
  const bool by_micro_batch = ByMicroBatch(run.schedule);
  GroupState& group = *groups_[instruction.target];
  STOWAGE_RETURN_IF_ERROR(
      TakeForCollective(run, instruction, [&] { group.gradients().TakeForReduction(by_micro_batch); }));
  run.events[instruction.event] = {{group.gradients().Reduce(communicator_, by_micro_batch)}, &group};
  return absl::OkStatus();
}

absl::Status Executor::Wait(Run& run, const Instruction& instruction) {
  Run::Pending& waited = run.events[instruction.event];
  absl::Status status;
  for (const Event& event : waited.events) {
    if (status.ok()) status = event.Wait();
  }
  if (!status.ok()) {
    for (const Run::Pending& pending : run.events) {
      for (const Event& event : pending.events) event.Wait().IgnoreError();
    }
    return status;
  }
  if (waited.reduced == nullptr) return absl::OkStatus();
  NoteTrouble(run, instruction, CatchExceptions([&] { waited.reduced->gradients().Reduced(); }));
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
  if (TargetOf(instruction.op) == TargetKind::kNone) return absl::StrCat("event ", instruction.event);
  const bool segment = TargetOf(instruction.op) == TargetKind::kSegment;
  return segment ? model_.segments[instruction.target].name : model_.groups[instruction.target].name;
}

absl::Status Executor::Agree(Run& run) {
  // The owner of a shard sums its squares; shards are cut alike at every ZeRO stage, so the norm's bits are too.
  for (const auto& group : groups_) {
    if (!run.trouble.ok() || !group->has_gradients()) continue;
    const int64_t shard = group->layout().shard_numel();
    const kernels::NormResult norm = kernels::SumOfSquares(group->gradients().owned(), shard);
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
                                       AppendBuffers(segment, &before->buffers);
                                     }
                                   }),
                                   "keeping the modules' buffers"));
  // What a collective needs is taken before the first instruction, so that none can lack its buffer. A group that no
  // segment uses is not reduced and has none: nobody would write it, and `agree` would sum up what lay there.
  // Groups of ZeRO 2 and 3 hold theirs for a part of the step only, and take them when the collective is issued.
  const bool alone = communicator_.world_size() == 1;
  std::vector<bool> reduced(groups_.size(), false);
  for (const Instruction& i : schedule.instructions) {
    if (i.op == Op::kReduce) reduced[i.target] = true;
  }
  for (size_t g = 0; g < groups_.size(); ++g) {
    GroupState* const group = groups_[g].get();
    before->optimizer_state.push_back(group->has_optimizer_state());
    if (reduced[g]) {
      const bool now = !alone && group->spec().zero_stage < 2;
      STOWAGE_RETURN_IF_ERROR(Annotate(CatchExceptions([&] {
                                         group->BeginGradients(now ? GroupState::Take::kNow
                                                                   : GroupState::Take::kWhenWritten);
                                         if (now) group->gradients().TakeForReduction(ByMicroBatch(schedule));
                                       }),
                                       absl::StrCat("gradients of ", group->spec().name)));
    }
    STOWAGE_RETURN_IF_ERROR(Annotate(CatchExceptions([&] { group->EnsureOptimizerState(*optimizer_); }),
                                     absl::StrCat("optimizer state of ", group->spec().name)));
  }
  return absl::OkStatus();
}

void Executor::PutBack(const Before& before) {
  PutBackBuffers(before.buffers);
  // Groups that Prepare came to. Copies are made again when a forward wants them.
  for (size_t g = 0; g < before.optimizer_state.size(); ++g) {
    groups_[g]->ReleaseGradients();
    groups_[g]->Release();
    if (!before.optimizer_state[g]) groups_[g]->ReleaseOptimizerState();
  }
}

absl::StatusOr<AgreementVerdict> Executor::PlayThrough(const Schedule& schedule, const PlayInputs& inputs,
                                                       Before* before) {
  Run run{schedule, inputs};
  run.micros.resize(schedule.micro_batches);
  run.events.resize(schedule.events);
  run.recomputed.resize(model_.segments.size());
  for (const Instruction& i : schedule.instructions) {
    if (i.op == Op::kRecompute) run.recomputed[i.target] = true;
  }
  const bool updates = std::any_of(schedule.instructions.begin(), schedule.instructions.end(),
                                   [](const Instruction& i) { return i.op == Op::kUpdate; });
  if (updates) {
    STOWAGE_CHECK(optimizer_ != nullptr && inputs.scalars) << schedule.name;
    STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator_, Prepare(schedule, before)));
  }

  const auto compute = [&](const Instruction& i, absl::Status (Executor::*what)(Run&, const Instruction&)) {
    if (!run.trouble.ok()) return;
    absl::Status status;
    const absl::Status thrown = CatchExceptions([&] { status = (this->*what)(run, i); });
    NoteTrouble(run, i, thrown.ok() ? status : thrown);
  };

  for (const Instruction& i : schedule.instructions) {
    const Observed observed(inputs.observer, i);
    switch (i.op) {
      case Op::kForward:
        compute(i, &Executor::Forward);
        break;
      case Op::kRecompute:
        compute(i, &Executor::Recompute);
        break;
      case Op::kBackward:
        compute(i, &Executor::Backward);
        break;
      case Op::kGather:
        STOWAGE_RETURN_IF_ERROR(Gather(run, i));
        break;
      case Op::kRelease:
        groups_[i.target]->Release();
        break;
      case Op::kReduce:
        compute(i, &Executor::FinishGradients);
        STOWAGE_RETURN_IF_ERROR(Reduce(run, i));
        break;
      case Op::kWait:
        STOWAGE_RETURN_IF_ERROR(Wait(run, i));
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
    const bool bf16 = std::find(in_bf16[g].begin(), in_bf16[g].end(), true) != in_bf16[g].end();
    shape.copied.push_back(bf16 && model.groups[g].zero_stage == 0);
    shape.zero_stages.push_back(model.groups[g].zero_stage);
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
    shape.backward_reads_parameters.push_back(segment.segment->BackwardReadsParameters());
  }
  shape.recompute = model.recompute;
  shape.reduce_per_micro = model.reduce_per_micro;
  shape.gather_ahead = model.gather_ahead;
  return shape;
}

}  // namespace stowage
