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
  std::map<int, std::string> tapes;  // by segment: its input
  bool empty() const { return !loaded && flow.empty() && gradient.empty() && tapes.empty(); }
};

struct Group {
  bool copies = false;
  Texts gradient;
  std::set<int> flying;  // events of reductions that are on their way
  bool reduced = false;
  Texts sum;  // over ranks
  int updates = 0;
};

class Player {
 public:
  Player(const Schedule& schedule, const ModelShape& model) : schedule_(schedule), model_(model) {
    segments_ = static_cast<int>(model.segments.size());
    micros_.resize(schedule.micro_batches);
    groups_.resize(model.groups.size());
    for (size_t g = 0; g < groups_.size(); ++g) groups_[g].copies = !model.copied.empty() && model.copied[g];
  }

  void Play() {
    for (const Instruction& i : schedule_.instructions) {
      if (agrees_ > 0 && i.op != Op::kUpdate) Fail("not undoable any more");
      switch (i.op) {
        case Op::kForward:
          Forward(i);
          break;
        case Op::kBackward:
          Backward(i);
          break;
        case Op::kRelease:
          if (!groups_.at(i.target).copies) Fail("nothing to release");
          groups_.at(i.target).copies = false;
          break;
        case Op::kReduce:
          Reduce(i);
          break;
        case Op::kWait:
          if (pending_.erase(i.event) == 0) Fail("waits for what nobody raised");
          for (Group& group : groups_) group.flying.erase(i.event);
          break;
        case Op::kAgree:
          Agree();
          break;
        case Op::kUpdate: {
          if (agrees_ == 0) Fail("update without leave");
          Group& group = groups_.at(i.target);
          if (!group.reduced) Fail("update from nothing");
          ++group.updates;
          break;
        }
      }
    }
    Judge();
  }

 private:
  [[noreturn]] static void Fail(const std::string& why) { throw std::runtime_error(why); }

  void NeedCopies(int group) const {
    const bool works_on_copies = !model_.copied.empty() && model_.copied[group];
    if (works_on_copies && !groups_[group].copies) Fail("copies made twice in a step");
  }

  void Forward(const Instruction& i) {
    Micro& micro = micros_.at(i.micro);
    const std::vector<int>& used = model_.groups_used.at(i.target);
    for (int g : used) NeedCopies(g);
    if (i.target == 0) {
      if (!begun_.insert(i.micro).second) Fail("data read twice");
      micro.loaded = true;
    }
    if (!micro.loaded) Fail("no data");
    if (i.keep == Keep::kAll && !micro.tapes.emplace(i.target, micro.flow).second) Fail("tape overwritten");
    absl::StrAppend(&micro.flow, "F", i.target, " ");
    if (i.target != segments_ - 1) return;
    losses_.insert(absl::StrCat("m", i.micro, " ", micro.flow));
    if (i.keep == Keep::kNothing) {
      if (!micro.tapes.empty()) Fail("kept for nobody");
      micro = Micro();
    }
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
    if (i.target == segments_ - 1) {
      micro.gradient = "L ";
      micro.flow.clear();
    }
    // The executor would stop the process over gradients of other tensors than the outputs.
    if (micro.gradient != Backwards(i.target, segments_)) Fail("gradients of another segment's outputs");
    for (int g : used) {
      Group& group = groups_[g];
      if (!group.flying.empty() || group.reduced) Fail("written under the lane");
      group.gradient.insert(Contribution(i.micro, i.target, tape->second, micro.gradient));
    }
    absl::StrAppend(&micro.gradient, "B", i.target, " ");
    micro.tapes.erase(tape);
    if (i.target > 0) return;
    if (!micro.tapes.empty()) Fail("tapes thrown away");
    micro = Micro();
  }

  void Reduce(const Instruction& i) {
    Group& group = groups_.at(i.target);
    if (group.gradient.empty()) Fail("reduces what is not there");
    if (group.reduced) Fail("summed over ranks twice");
    if (i.event < 0 || i.event >= schedule_.events) Fail("no such event");
    if (!raised_.insert(i.event).second) Fail("event used twice");
    pending_.insert(i.event);
    group.flying.insert(i.event);
    group.reduced = true;
    group.sum = group.gradient;
  }

  void Agree() {
    ++agrees_;
    if (!pending_.empty()) Fail("norm of what is still on its way");
    for (const Group& group : groups_) {
      if (group.gradient != group.sum) Fail("norm of one rank's gradients");
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
    for (const Micro& micro : micros_) {
      if (!micro.empty()) Fail("something is left");
    }
    for (size_t g = 0; g < groups_.size(); ++g) {
      const Group& group = groups_[g];
      if (group.updates != (group.gradient.empty() ? 0 : 1)) Fail("updated another number of times");
      if (group.gradient.empty()) continue;
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
