#include "trainer/schedule/naive_player.h"

#include <map>
#include <set>
#include <stdexcept>
#include <utility>

#include "absl/strings/str_cat.h"

namespace stowage {
namespace {

using Texts = std::multiset<std::string>;

// "F0 F1 ... " up to, not including, segment `end`.
std::string Forwards(int end) {
  std::string text;
  for (int s = 0; s < end; ++s) absl::StrAppend(&text, "F", s, " ");
  return text;
}

// What reaches segment s from the loss.
std::string Backwards(int s, int segments) {
  std::string text = "L ";
  for (int b = segments - 1; b > s; --b) absl::StrAppend(&text, "B", b, " ");
  return text;
}

std::string Contribution(int micro, int segment, const std::string& input, const std::string& gradient) {
  return absl::StrCat("m", micro, " s", segment, " of ", input, " and ", gradient);
}

bool Contains(const std::vector<int>& list, int what) {
  for (int g : list) {
    if (g == what) return true;
  }
  return false;
}

struct Micro {
  bool loaded = false;
  std::string flow, gradient;
  std::map<int, std::string> tapes;    // by segment: its input
  std::map<int, std::string> inputs;   // by segment: kept for a recompute
  std::map<int, std::string> replays;  // by segment: what its recompute gave
  std::set<int> ran;                   // segments that went forward, and not yet backward
  bool empty() const { return !loaded && flow.empty() && gradient.empty() && !keeps_something(); }
  bool keeps_something() const { return !tapes.empty() || !inputs.empty() || !replays.empty(); }
};

struct Group {
  bool copies = false;
  bool whole = false;    // its parameters, where ranks keep shards of them
  int gathering = -1;    // the event that they come with
  Texts gradient;        // what has been added since the last reduction, or in all
  std::set<int> flying;  // events of reductions that are on their way
  int reductions = 0;
  Texts sum;  // over ranks
  int updates = 0;
};

class Player {
 public:
  Player(const Schedule& schedule, const ModelShape& model) : schedule_(schedule), model_(model) {
    segments_ = static_cast<int>(model.segments.size());
    micros_.resize(schedule.micro_batches);
    groups_.resize(model.groups.size());
    for (size_t g = 0; g < groups_.size(); ++g) {
      groups_[g].copies = !model.copied.empty() && model.copied[g];
      const int stage = model.zero_stage(static_cast<int>(g));
      groups_[g].whole = stage == 1 || stage == 2;
    }
  }

  void Play() {
    for (const Instruction& i : schedule_.instructions) {
      if (agrees_ > 0 && i.op != Op::kUpdate && i.op != Op::kGather && i.op != Op::kWait) Fail("not undoable any more");
      switch (i.op) {
        case Op::kForward:
          Forward(i);
          break;
        case Op::kRecompute:
          Recompute(i);
          break;
        case Op::kBackward:
          Backward(i);
          break;
        case Op::kGather:
          Gather(i);
          break;
        case Op::kRelease:
          if (Sharded(i.target)) {
            if (!groups_.at(i.target).whole) Fail("nothing to give back");
            groups_[i.target].whole = false;
            break;
          }
          if (!groups_.at(i.target).copies) Fail("nothing to release");
          groups_.at(i.target).copies = false;
          break;
        case Op::kReduce:
          Reduce(i);
          break;
        case Op::kWait:
          if (pending_.erase(i.event) == 0) Fail("waits for what nobody raised");
          for (Group& group : groups_) {
            group.flying.erase(i.event);
            if (group.gathering != i.event) continue;
            group.gathering = -1;
            group.whole = true;
          }
          break;
        case Op::kAgree:
          Agree();
          break;
        case Op::kUpdate: {
          if (agrees_ == 0) Fail("update without leave");
          Group& group = groups_.at(i.target);
          if (group.reductions != (model_.reduce_per_micro ? schedule_.micro_batches : 1)) Fail("update from nothing");
          if (model_.reduce_per_micro ? i.micro != schedule_.micro_batches - 1 : i.micro != -1) Fail("another sum");
          ++group.updates;
          if (group.gathering >= 0) Fail("changed under the lane");
          // Not all of it is new. Under ZeRO 3 nothing makes it so again: it stays, to be found at the end.
          if (model_.zero_stage(i.target) < 3) group.whole = false;
          break;
        }
      }
    }
    Judge();
  }

 private:
  [[noreturn]] static void Fail(const std::string& why) { throw std::runtime_error(why); }

  bool Sharded(int group) const { return model_.zero_stage(group) > 0; }

  void NeedParameters(const std::vector<int>& groups) const {
    for (int g : groups) {
      if (Sharded(g) && !groups_[g].whole) Fail("computes with a shard");
    }
  }

  void Gather(const Instruction& i) {
    Group& group = groups_.at(i.target);
    if (!Sharded(i.target)) Fail("gathers what nobody has a shard of");
    if (group.whole || group.gathering >= 0) Fail("gathered over what is there");
    if (i.event < 0 || i.event >= schedule_.events) Fail("no such event");
    if (!raised_.insert(i.event).second) Fail("event used twice");
    pending_.insert(i.event);
    group.gathering = i.event;
  }

  void NeedCopies(int group) const {
    const bool works_on_copies = !model_.copied.empty() && model_.copied[group];
    if (works_on_copies && !groups_[group].copies) Fail("copies made twice in a step");
  }

  void Forward(const Instruction& i) {
    Micro& micro = micros_.at(i.micro);
    const std::vector<int>& used = model_.groups_used.at(i.target);
    for (int g : used) NeedCopies(g);
    NeedParameters(used);
    if (i.target == 0) {
      if (!begun_.insert(i.micro).second) Fail("data read twice");
      micro.loaded = true;
    }
    if (!micro.loaded) Fail("no data");
    if (micro.flow != Forwards(i.target)) Fail("inputs of another segment");
    KeepOf(i, micro.flow, &micro);
    micro.ran.insert(i.target);
    absl::StrAppend(&micro.flow, "F", i.target, " ");
    if (i.target != segments_ - 1) return;
    losses_.insert(absl::StrCat("m", i.micro, " ", micro.flow));
    if (i.keep == Keep::kNothing) {
      if (micro.keeps_something()) Fail("kept for nobody");
      micro = Micro();
    }
  }

  static void KeepOf(const Instruction& i, const std::string& input, Micro* micro) {
    if (i.keep == Keep::kAll && !micro->tapes.emplace(i.target, input).second) Fail("tape overwritten");
    if (i.keep == Keep::kInputs) micro->inputs[i.target] = input;
  }

  void Recompute(const Instruction& i) {
    Micro& micro = micros_.at(i.micro);
    if (i.target == segments_ - 1) Fail("a second loss");
    if (micro.ran.count(i.target) == 0) Fail("no run to do again");  // buffers of modules as they were then
    const std::vector<int>& used = model_.groups_used.at(i.target);
    for (int g : model_.copies_read_by_backward.empty() ? used : model_.copies_read_by_backward[i.target]) {
      NeedCopies(g);
    }
    NeedParameters(used);
    auto& from = i.from == From::kKept ? micro.inputs : micro.replays;
    const auto found = from.find(i.from == From::kKept ? i.target : i.target - 1);
    if (found == from.end()) Fail("nothing to recompute from");
    const std::string input = found->second;
    from.erase(found);
    KeepOf(i, input, &micro);
    micro.replays[i.target] = absl::StrCat(input, "F", i.target, " ");
  }

  void Backward(const Instruction& i) {
    Micro& micro = micros_.at(i.micro);
    const std::vector<int>& used = model_.groups_used.at(i.target);
    const auto tape = micro.tapes.find(i.target);
    if (tape == micro.tapes.end()) Fail("no tape");
    for (int g : used) {
      if (model_.copies_read_by_backward.empty() || Contains(model_.copies_read_by_backward[i.target], g)) {
        NeedCopies(g);
      }
    }
    if (model_.backward_reads(i.target)) NeedParameters(used);
    if (i.target == segments_ - 1) {
      micro.gradient = "L ";
      micro.flow.clear();
    }
    // The executor would stop the process over gradients of other tensors than the outputs.
    if (micro.gradient != Backwards(i.target, segments_)) Fail("gradients of another segment's outputs");
    for (int g : used) {
      if (model_.is_frozen(g)) continue;
      Group& group = groups_[g];
      if (!group.flying.empty()) Fail("written under the lane");
      if (group.reductions != (model_.reduce_per_micro ? i.micro : 0)) Fail("added to another sum");
      group.gradient.insert(Contribution(i.micro, i.target, tape->second, micro.gradient));
    }
    absl::StrAppend(&micro.gradient, "B", i.target, " ");
    micro.tapes.erase(tape);
    micro.replays.erase(i.target);
    micro.ran.erase(i.target);
    if (i.target > model_.first_trained) return;
    if (i.target < model_.first_trained) Fail("back to where nothing is trained");
    if (micro.keeps_something()) Fail("tapes thrown away");
    micro = Micro();
  }

  void Reduce(const Instruction& i) {
    Group& group = groups_.at(i.target);
    if (group.gradient.empty()) Fail("reduces what is not there");
    if (model_.reduce_per_micro ? i.micro != group.reductions : group.reductions > 0) Fail("summed over ranks twice");
    if (!group.flying.empty()) Fail("two at once in one buffer");
    if (model_.reduce_per_micro ? i.micro >= schedule_.micro_batches : i.micro != -1) Fail("sums another micro-batch");
    if (i.event < 0 || i.event >= schedule_.events) Fail("no such event");
    if (!raised_.insert(i.event).second) Fail("event used twice");
    pending_.insert(i.event);
    group.flying.insert(i.event);
    ++group.reductions;
    group.sum.insert(group.gradient.begin(), group.gradient.end());
    group.gradient.clear();
  }

  void Agree() {
    ++agrees_;
    if (!pending_.empty()) Fail("norm of what is still on its way");
    for (const Group& group : groups_) {
      if (!group.gradient.empty()) Fail("norm of one rank's gradients");
    }
    agreed_losses_ = losses_;
  }

  void Judge() const {
    if (agrees_ != 1) Fail("agrees once");
    Texts losses;
    for (int m = 0; m < schedule_.micro_batches && segments_ > 0; ++m) {
      losses.insert(absl::StrCat("m", m, " ", Forwards(segments_)));
    }
    if (agreed_losses_ != losses) Fail("another loss");
    if (!pending_.empty()) Fail("still on its way");
    for (const Micro& micro : micros_) {
      if (!micro.empty()) Fail("something is left");
    }
    for (size_t g = 0; g < groups_.size(); ++g) {
      const Group& group = groups_[g];
      if (group.updates != (group.sum.empty() ? 0 : 1)) Fail("updated another number of times");
      if (Sharded(static_cast<int>(g)) && group.whole != (model_.zero_stage(static_cast<int>(g)) < 3)) {
        Fail("parameters of another step");
      }
      if (group.sum.empty()) continue;
      Texts whole;
      for (int m = 0; m < schedule_.micro_batches; ++m) {
        for (int s = 0; s < segments_; ++s) {
          if (!Contains(model_.groups_used[s], static_cast<int>(g))) continue;
          whole.insert(Contribution(m, s, Forwards(s), Backwards(s, segments_)));
        }
      }
      if (group.sum != whole) Fail("another gradient");
    }
  }

  const Schedule& schedule_;
  const ModelShape& model_;
  int segments_ = 0;
  std::vector<Micro> micros_;
  std::vector<Group> groups_;
  std::set<int> begun_, raised_, pending_;
  int agrees_ = 0;
  Texts losses_, agreed_losses_;
};

}  // namespace

std::string PlayNaively(const Schedule& schedule, const ModelShape& model) {
  try {
    Player(schedule, model).Play();
  } catch (const std::exception& e) {  // of vector::at too
    return e.what();
  }
  return "";
}

}  // namespace stowage
