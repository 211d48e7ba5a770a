#include "trainer/schedule/planner.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "trainer/schedule/add_gathers.h"
#include "trainer/schedule/recompute_span.h"

namespace stowage {
namespace {

Instruction Forward(int segment, int micro, Keep keep) { return {Op::kForward, segment, micro, -1, keep}; }
Instruction Recompute(int segment, int micro, Keep keep, From from) {
  return {Op::kRecompute, segment, micro, -1, keep, from};
}
Instruction Backward(int segment, int micro) { return {Op::kBackward, segment, micro, -1, Keep::kAll}; }
Instruction Release(int group) { return {Op::kRelease, group, -1, -1, Keep::kAll}; }
Instruction Reduce(int group, int micro, int event) { return {Op::kReduce, group, micro, event, Keep::kAll}; }
Instruction Gather(int group, int event) { return {Op::kGather, group, -1, event, Keep::kAll}; }
Instruction Wait(int event) { return {Op::kWait, -1, -1, event, Keep::kAll}; }
Instruction Agree() { return {Op::kAgree, -1, -1, -1, Keep::kAll}; }
Instruction Update(int group, int micro) { return {Op::kUpdate, group, micro, -1, Keep::kAll}; }

// Segments [first, end) of a micro-batch, whose backward comes at once: all of them by themselves, or run again.
struct Stretch {
  int first = 0;
  int end = 0;
  int micro = 0;
};

void CheckSpans(const RecomputeSpans& spans, int first, int end) {
  for (const RecomputeSpan& span : spans) {
    STOWAGE_CHECK(first <= span.first && span.first < span.end && span.end <= end)
        << "span " << span.first << " to " << span.end << " in " << first << " to " << end;
    CheckSpans(span.inner, span.first, span.end);
    first = span.end;
  }
}

// `op`: forward, or recompute, of which the first segment takes its inputs `from`.
void Run(Op op, const Stretch& stretch, const RecomputeSpans& spans, From from, std::vector<Instruction>* list) {
  const auto play = [&](int s, Keep keep) {
    list->push_back(op == Op::kForward ? Forward(s, stretch.micro, keep)
                                       : Recompute(s, stretch.micro, keep, s == stretch.first ? from : From::kBefore));
  };
  int s = stretch.first;
  for (const RecomputeSpan& span : spans) {
    for (; s < span.first; ++s) play(s, Keep::kAll);
    if (span.end == stretch.end) {  // nothing comes between it and its backward
      const From first_from = span.first == stretch.first ? from : From::kBefore;
      return Run(op, {span.first, span.end, stretch.micro}, span.inner, first_from, list);
    }
    for (; s < span.end; ++s) play(s, s == span.first ? Keep::kInputs : Keep::kNothing);
  }
  for (; s < stretch.end; ++s) play(s, Keep::kAll);
}

// What of `spans` lies from segment `first` on: spans that begin before it begin with it.
RecomputeSpans SpansFrom(const RecomputeSpans& spans, int first) {
  RecomputeSpans rest;
  for (const RecomputeSpan& span : spans) {
    if (span.end > first) rest.push_back({std::max(span.first, first), span.end, SpansFrom(span.inner, first)});
  }
  return rest;
}

// After Run of the same stretch and spans. Calls back(s) for each segment, from the last to the first.
template <typename Back>
void RunBack(const Stretch& stretch, const RecomputeSpans& spans, const Back& back, std::vector<Instruction>* list) {
  int s = stretch.end - 1;
  for (auto span = spans.rbegin(); span != spans.rend(); ++span) {
    for (; s >= span->end; --s) back(s);
    const Stretch within{span->first, span->end, stretch.micro};
    if (span->end != stretch.end) Run(Op::kRecompute, within, span->inner, From::kKept, list);
    RunBack(within, span->inner, back, list);
    s = span->first - 1;
  }
  for (; s >= stretch.first; --s) back(s);
}

}  // namespace

Schedule WriteTrainStep(const ModelShape& model, int micro_batches) {
  const int segments = static_cast<int>(model.segments.size());
  const int groups = static_cast<int>(model.groups.size());
  CheckSpans(model.recompute, 0, segments);
  // Before it there is nothing to train, so nothing to keep and no way back.
  const int first = model.first_trained;
  const RecomputeSpans recompute = SpansFrom(model.recompute, first);
  // Backward runs from the last segment to the first: a group is done at the first segment that uses it, and its copies
  // at the first that reads them. (Tied weights: the head multiplies by the copy, the embedding reads masters.)
  std::vector<int> first_use(groups, segments), first_read(groups, segments);
  for (int s = segments - 1; s >= 0; --s) {
    for (int g : model.groups_used[s]) first_use[g] = s;
    for (int g : model.read_by_backward(s)) first_read[g] = s;
  }

  Schedule schedule;
  schedule.name = "train step";
  schedule.micro_batches = micro_batches;
  auto& list = schedule.instructions;
  // In the order in which gradients are done. Each update gives back its gradients, so the largest group of a language
  // model, its embedding, takes the bytes of its new copies when those of all others are free.
  std::vector<Instruction> updates;
  std::vector<int> on_their_way;  // events of reductions
  const auto wait_for_all = [&] {
    for (int event : on_their_way) list.push_back(Wait(event));
    on_their_way.clear();
  };
  for (int m = 0; m < micro_batches; ++m) {
    const Stretch whole{first, segments, m};
    for (int s = 0; s < first; ++s) list.push_back(Forward(s, m, Keep::kNothing));
    Run(Op::kForward, whole, recompute, From::kBefore, &list);
    const auto back = [&](int s) {
      list.push_back(Backward(s, m));
      const bool last = m == micro_batches - 1;
      if (!last && !model.reduce_per_micro) return;
      for (int g = 0; g < groups; ++g) {
        if (model.is_frozen(g)) continue;  // its copies stay: no update makes them stale
        if (last && model.has_copies(g) && first_read[g] == s) list.push_back(Release(g));
        if (first_use[g] != s) continue;
        // A buffer that goes when it is reduced: no more than one such waits for that.
        if (model.zero_stage(g) >= 2) wait_for_all();
        const int micro = model.reduce_per_micro ? m : -1;
        on_their_way.push_back(schedule.events++);
        list.push_back(Reduce(g, micro, on_their_way.back()));
        if (last) updates.push_back(Update(g, micro));
      }
    };
    RunBack(whole, recompute, back, &list);
    // The next micro-batch adds to the same buffers.
    if (model.reduce_per_micro) wait_for_all();
  }
  wait_for_all();
  list.push_back(Agree());
  for (const Instruction& update : updates) {
    list.push_back(update);
    const int stage = model.zero_stage(update.target);
    if (stage == 0 || stage == 3) continue;
    on_their_way.push_back(schedule.events++);
    list.push_back(Gather(update.target, on_their_way.back()));
  }
  wait_for_all();
  AddGathers(model, &schedule);
  return schedule;
}

Schedule WriteEvaluation(const ModelShape& model, int micro_batches) {
  Schedule schedule;
  schedule.name = "evaluation";
  schedule.micro_batches = micro_batches;
  for (int m = 0; m < micro_batches; ++m) {
    for (int s = 0; s < static_cast<int>(model.segments.size()); ++s) {
      schedule.instructions.push_back(Forward(s, m, Keep::kNothing));
    }
  }
  schedule.instructions.push_back(Agree());
  AddGathers(model, &schedule);
  return schedule;
}

}  // namespace stowage
