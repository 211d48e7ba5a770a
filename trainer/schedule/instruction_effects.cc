#include "trainer/schedule/instruction_effects.h"

namespace stowage {
namespace {

Buffer Batch(int micro) { return {BufferKind::kBatch, 0, micro}; }
Buffer Flow(int segment, int micro) { return {BufferKind::kFlow, segment, micro}; }
Buffer Tape(int segment, int micro) { return {BufferKind::kTape, segment, micro}; }
Buffer GradientFlow(int segment, int micro) { return {BufferKind::kGradientFlow, segment, micro}; }
Buffer Copies(int group) { return {BufferKind::kCopies, group, 0}; }
Buffer Gradients(int group) { return {BufferKind::kGradients, group, 0}; }
Buffer RaisedEvent(int event) { return {BufferKind::kEvent, event, 0}; }
Buffer Agreement() { return {BufferKind::kAgreement, 0, 0}; }

void ReadCopies(const std::vector<int>& groups, const ModelShape& model, std::vector<Effect>* effects) {
  for (int g : groups) {
    if (model.has_copies(g)) effects->push_back({Act::kRead, Copies(g)});
  }
}

void Forward(const Instruction& i, const ModelShape& model, std::vector<Effect>* effects) {
  const int s = i.target, m = i.micro;
  const bool last = s == static_cast<int>(model.segments.size()) - 1;
  if (s > 0) effects->push_back({Act::kFree, Flow(s - 1, m)});
  effects->push_back({s == 0 ? Act::kTake : Act::kRead, Batch(m)});
  ReadCopies(model.groups_used[s], model, effects);
  if (i.keep == Keep::kAll) effects->push_back({Act::kTake, Tape(s, m)});
  if (last && i.keep == Keep::kNothing) {
    effects->push_back({Act::kFree, Batch(m)});
  } else {
    effects->push_back({Act::kTake, Flow(s, m)});
  }
}

void Backward(const Instruction& i, const ModelShape& model, std::vector<Effect>* effects) {
  const int s = i.target, m = i.micro;
  const bool last = s == static_cast<int>(model.segments.size()) - 1;
  effects->push_back({Act::kFree, Tape(s, m)});
  effects->push_back({Act::kFree, last ? Flow(s, m) : GradientFlow(s + 1, m)});
  ReadCopies(model.read_by_backward(s), model, effects);
  for (int g : model.groups_used[s]) effects->push_back({Act::kAdd, Gradients(g)});
  effects->push_back({s == 0 ? Act::kFree : Act::kRead, Batch(m)});
  if (s > 0) effects->push_back({Act::kTake, GradientFlow(s, m)});
}

}  // namespace

void EffectsOf(const Instruction& i, const ModelShape& model, std::vector<Effect>* effects) {
  effects->clear();
  switch (i.op) {
    case Op::kForward:
      return Forward(i, model, effects);
    case Op::kBackward:
      return Backward(i, model, effects);
    case Op::kRelease:
      effects->push_back({Act::kFree, Copies(i.target)});
      return;
    case Op::kReduce:
      effects->push_back({Act::kLend, Gradients(i.target), i.event});
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
      effects->push_back({Act::kFree, Gradients(i.target)});
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
  buffers.SetSize(BufferKind::kGradientFlow, segments, micro_batches);
  buffers.SetSize(BufferKind::kCopies, groups, 1);
  buffers.SetSize(BufferKind::kGradients, groups, 1);
  buffers.SetSize(BufferKind::kEvent, events, 1);
  buffers.SetSize(BufferKind::kAgreement, 1, 1);
  std::vector<int> uses(groups, 0);
  for (const std::vector<int>& used : model.groups_used) {
    for (int g : used) ++uses[g];
  }
  for (int g = 0; g < groups; ++g) {
    if (model.has_copies(g)) buffers.Start(Copies(g));
    buffers.Expect(Gradients(g), uses[g] * micro_batches);
  }
  return buffers;
}

}  // namespace stowage
