#include "trainer/schedule/instruction_effects.h"

#include <algorithm>

namespace stowage {
namespace {

Buffer Batch(int micro) { return {BufferKind::kBatch, 0, micro}; }
Buffer Flow(int segment, int micro) { return {BufferKind::kFlow, segment, micro}; }
Buffer Tape(int segment, int micro) { return {BufferKind::kTape, segment, micro}; }
Buffer Inputs(int segment, int micro) { return {BufferKind::kInputs, segment, micro}; }
Buffer Replay(int segment, int micro) { return {BufferKind::kReplay, segment, micro}; }
Buffer GradientFlow(int segment, int micro) { return {BufferKind::kGradientFlow, segment, micro}; }
Buffer Copies(int group) { return {BufferKind::kCopies, group, 0}; }
Buffer Gradients(int group, int micro) { return {BufferKind::kGradients, group, std::max(0, micro)}; }
Buffer Parameters(int group) { return {BufferKind::kParameters, group, 0}; }
Buffer RaisedEvent(int event) { return {BufferKind::kEvent, event, 0}; }
Buffer Agreement() { return {BufferKind::kAgreement, 0, 0}; }

void ReadCopies(const std::vector<int>& groups, const ModelShape& model, std::vector<Effect>* effects) {
  for (int g : groups) {
    if (model.has_copies(g)) effects->push_back({Act::kRead, Copies(g)});
  }
}

void ReadParameters(int segment, const ModelShape& model, std::vector<Effect>* effects) {
  for (int g : model.groups_used[segment]) {
    if (model.zero_stage(g) > 0) effects->push_back({Act::kRead, Parameters(g)});
  }
}

// Inputs may be kept twice, by an outer and by an inner recompute: they are the same.
void TakeWhatIsKept(const Instruction& i, std::vector<Effect>* effects) {
  if (i.keep == Keep::kAll) effects->push_back({Act::kTake, Tape(i.target, i.micro)});
  if (i.keep == Keep::kInputs) effects->push_back({Act::kRefill, Inputs(i.target, i.micro)});
}

void Forward(const Instruction& i, const ModelShape& model, std::vector<Effect>* effects) {
  const int s = i.target, m = i.micro;
  const bool last = s == static_cast<int>(model.segments.size()) - 1;
  if (s > 0) effects->push_back({Act::kFree, Flow(s - 1, m)});
  effects->push_back({s == 0 ? Act::kTake : Act::kRead, Batch(m)});
  ReadCopies(model.groups_used[s], model, effects);
  ReadParameters(s, model, effects);
  TakeWhatIsKept(i, effects);
  if (last && i.keep == Keep::kNothing) {
    effects->push_back({Act::kFree, Batch(m)});
  } else {
    effects->push_back({Act::kTake, Flow(s, m)});
  }
}

void Recompute(const Instruction& i, const ModelShape& model, std::vector<Effect>* effects) {
  const int s = i.target, m = i.micro;
  if (i.from == From::kKept) {
    effects->push_back({i.keep == Keep::kInputs ? Act::kRead : Act::kFree, Inputs(s, m)});
  } else {
    effects->push_back({Act::kFree, Replay(s - 1, m)});
  }
  effects->push_back({Act::kRead, Batch(m)});
  ReadCopies(model.read_by_backward(s), model, effects);
  ReadParameters(s, model, effects);
  TakeWhatIsKept(i, effects);
  effects->push_back({Act::kRefill, Replay(s, m)});
}

void Backward(const Instruction& i, const ModelShape& model, std::vector<Effect>* effects) {
  const int s = i.target, m = i.micro;
  const bool last = s == static_cast<int>(model.segments.size()) - 1;
  effects->push_back({Act::kDrop, Replay(s, m)});
  effects->push_back({Act::kFree, Tape(s, m)});
  effects->push_back({Act::kFree, last ? Flow(s, m) : GradientFlow(s + 1, m)});
  ReadCopies(model.read_by_backward(s), model, effects);
  if (model.backward_reads(s)) ReadParameters(s, model, effects);
  for (int g : model.groups_used[s]) {
    if (model.is_frozen(g)) continue;
    // There is one buffer for one micro-batch after another.
    if (model.reduce_per_micro && m > 0) effects->push_back({Act::kSettle, Gradients(g, m - 1)});
    effects->push_back({Act::kAdd, Gradients(g, model.reduce_per_micro ? m : 0)});
  }
  const bool ends = s == model.first_trained;
  effects->push_back({ends ? Act::kFree : Act::kRead, Batch(m)});
  if (!ends) effects->push_back({Act::kTake, GradientFlow(s, m)});
}

}  // namespace

void EffectsOf(const Instruction& i, const ModelShape& model, std::vector<Effect>* effects) {
  effects->clear();
  switch (i.op) {
    case Op::kForward:
      return Forward(i, model, effects);
    case Op::kRecompute:
      return Recompute(i, model, effects);
    case Op::kBackward:
      return Backward(i, model, effects);
    case Op::kGather:
      effects->push_back({Act::kFetch, Parameters(i.target), i.event});
      effects->push_back({Act::kTake, RaisedEvent(i.event)});
      return;
    case Op::kRelease:
      effects->push_back({Act::kFree, model.zero_stage(i.target) > 0 ? Parameters(i.target) : Copies(i.target)});
      return;
    case Op::kReduce:
      effects->push_back({Act::kLend, Gradients(i.target, i.micro), i.event});
      effects->push_back({Act::kTake, RaisedEvent(i.event)});
      return;
    case Op::kWait:
      effects->push_back({Act::kReturn, RaisedEvent(i.event)});
      return;
    case Op::kAgree:
      effects->push_back({Act::kTake, Agreement()});
      return;
    case Op::kUpdate:
      effects->push_back({Act::kRead, Agreement()});
      effects->push_back({Act::kFree, Gradients(i.target, i.micro)});
      // What is whole of them is no longer what they are. (Under ZeRO 3 it has been released by then.)
      if (model.zero_stage(i.target) == 1 || model.zero_stage(i.target) == 2) {
        effects->push_back({Act::kDrop, Parameters(i.target)});
      }
      if (model.has_copies(i.target)) effects->push_back({Act::kRefill, Copies(i.target)});
      return;
  }
}

BufferTable BuffersOf(const ModelShape& model, int micro_batches, int events) {
  const int segments = static_cast<int>(model.segments.size());
  const int groups = static_cast<int>(model.groups.size());
  BufferTable buffers;
  buffers.SetSize(BufferKind::kBatch, 1, micro_batches);
  buffers.SetSize(BufferKind::kFlow, segments, micro_batches);
  buffers.SetSize(BufferKind::kTape, segments, micro_batches);
  buffers.SetSize(BufferKind::kInputs, segments, micro_batches);
  buffers.SetSize(BufferKind::kReplay, segments, micro_batches);
  buffers.SetSize(BufferKind::kGradientFlow, segments, micro_batches);
  buffers.SetSize(BufferKind::kCopies, groups, 1);
  buffers.SetSize(BufferKind::kGradients, groups, model.reduce_per_micro ? micro_batches : 1);
  buffers.SetSize(BufferKind::kParameters, groups, 1);
  buffers.SetSize(BufferKind::kEvent, events, 1);
  buffers.SetSize(BufferKind::kAgreement, 1, 1);
  std::vector<int> uses(groups, 0);
  for (const std::vector<int>& used : model.groups_used) {
    for (int g : used) ++uses[g];
  }
  for (int g = 0; g < groups; ++g) {
    if (model.has_copies(g)) buffers.Start(Copies(g));
    if (model.zero_stage(g) == 1 || model.zero_stage(g) == 2) buffers.Start(Parameters(g));
    if (model.is_frozen(g)) continue;
    for (int m = 0; m < (model.reduce_per_micro ? micro_batches : 0); ++m) buffers.Expect(Gradients(g, m), uses[g]);
    if (!model.reduce_per_micro) buffers.Expect(Gradients(g, 0), uses[g] * micro_batches);
  }
  return buffers;
}

}  // namespace stowage
