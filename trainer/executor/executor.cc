#include "trainer/executor/executor.h"

#include <ATen/ops/item.h>
#include <ATen/ops/ones_like.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "kernels/norm.h"
#include "memory/counting_allocator.h"
#include "trainer/executor/exceptions.h"

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

Executor::Executor(const Model& model, GroupStates& groups, Communicator& communicator, const Optimizer* optimizer)
    : model_(model), groups_(groups), communicator_(communicator), optimizer_(optimizer) {}

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
  std::vector<at::Tensor> outputs = RunForward(segment, micro.flow, ParametersFor(segment, groups_, keep), context,
                                               keep ? &micro.tapes[instruction.target] : nullptr);
  STOWAGE_RETURN_IF_ERROR(shapes_.Check(instruction.target, segment.name, micro.flow, context, outputs));
  micro.flow = std::move(outputs);
  if (instruction.target == last) {
    run.words.loss_sum += micro.flow[0].item<double>();
    run.words.tokens += micro.batch.loss_terms;
    if (run.inputs.mode == PassMode::kEvaluate && micro.flow.size() > 1) {
      run.words.judged += micro.batch.samples;
      run.words.correct += micro.flow[1].item<int64_t>();
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
  Run run{schedule, inputs};
  run.micros.resize(schedule.micro_batches);
  run.events.resize(schedule.events);
  const bool updates = std::any_of(schedule.instructions.begin(), schedule.instructions.end(),
                                   [](const Instruction& i) { return i.op == Op::kUpdate; });
  if (updates) {
    STOWAGE_CHECK(optimizer_ != nullptr && inputs.scalars) << schedule.name;
    // Taken before the first instruction: from here on no collective can lack its buffer.
    STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(communicator_, CatchExceptions([&] {
                                            for (const auto& group : groups_) {
                                              group->BeginGradients();
                                              group->EnsureOptimizerState(*optimizer_);
                                            }
                                          })));
  }

  // Arithmetic that fails stops this rank's arithmetic until `agree`, not its collectives.
  const auto compute = [&](const Instruction& i, absl::Status (Executor::*what)(Run&, const Instruction&)) {
    if (!run.trouble.ok()) return;
    absl::Status status;
    const absl::Status thrown = CatchExceptions([&] { status = (this->*what)(run, i); });
    if (!thrown.ok()) status = thrown;
    if (!status.ok()) {
      run.trouble = Annotate(status, absl::StrCat(OpName(i.op), " ", model_.segments[i.target].name));
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
      case Op::kReduce: {
        GroupState& group = *groups_[i.target];
        group.FinishGradients();
        run.events[i.event] =
            communicator_.AllReduce(group.gradients_data(), group.layout().whole_numel(), DType::kFloat32);
        break;
      }
      case Op::kWait:
        STOWAGE_RETURN_IF_ERROR(run.events[i.event].Wait());
        break;
      case Op::kAgree:
        STOWAGE_RETURN_IF_ERROR(Agree(run));
        if (updates) {
          STOWAGE_ASSIGN_OR_RETURN(run.scalars, inputs.scalars(run.verdict));
        }
        break;
      case Op::kUpdate:
        groups_[i.target]->Update(*optimizer_, run.scalars);
        break;
    }
  }
  return run.verdict;
}

ModelShape ShapeOf(const Model& model) {
  ModelShape shape;
  for (const GroupSpec& group : model.groups) shape.groups.push_back(group.name);
  for (const SegmentSpec& segment : model.segments) {
    shape.segments.push_back(segment.name);
    std::vector<int> used;
    for (const ParameterId& id : segment.parameters) {
      if (std::find(used.begin(), used.end(), id.group) == used.end()) used.push_back(id.group);
    }
    shape.groups_used.push_back(std::move(used));
  }
  return shape;
}

}  // namespace stowage
