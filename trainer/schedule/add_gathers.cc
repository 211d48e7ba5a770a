#include "trainer/schedule/add_gathers.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace stowage {
namespace {

// Which sharded groups an instruction reads whole.
std::vector<int> ReadBy(const Instruction& i, const ModelShape& model) {
  std::vector<int> read;
  if (TargetOf(i.op) != TargetKind::kSegment) return read;
  if (i.op == Op::kBackward && !model.backward_reads(i.target)) return read;
  for (int g : model.groups_used[i.target]) {
    if (model.zero_stage(g) == 3) read.push_back(g);
  }
  return read;
}

bool Contains(const std::vector<int>& list, int what) {
  return std::find(list.begin(), list.end(), what) != list.end();
}

class Gathers {
 public:
  Gathers(const ModelShape& model, const Schedule& schedule)
      : model_(model), groups_(model.groups.size()), uses_(model.groups.size()), events_(schedule.events) {
    for (size_t at = 0; at < schedule.instructions.size(); ++at) {
      std::vector<int> read = ReadBy(schedule.instructions[at], model);
      for (int g : read) uses_[g].push_back(at);
      if (!read.empty()) reads_.push_back({at, std::move(read)});
    }
    if (!reads_.empty()) ahead_ = ReadAfter(reads_[0]);
  }

  // The next instruction of the list as it was, which is at `at` there.
  void Play(const Instruction& i, size_t at) {
    if (read_ == reads_.size() || reads_[read_].at != at) {
      list_.push_back(i);
      return;
    }
    const std::vector<int>& read = reads_[read_].groups;
    for (int g : read) Gather(g);
    for (int g : ahead_) Gather(g);
    for (int g : read) {
      if (!std::exchange(groups_[g].on_its_way, false)) continue;
      list_.push_back({Op::kWait, -1, -1, groups_[g].event, Keep::kAll});
    }
    list_.push_back(i);
    ++read_;
    std::vector<int> wanted;
    ahead_.clear();
    if (read_ < reads_.size()) {
      wanted = reads_[read_].groups;
      ahead_ = ReadAfter(reads_[read_]);
      wanted.insert(wanted.end(), ahead_.begin(), ahead_.end());
    }
    for (int g = 0; g < static_cast<int>(groups_.size()); ++g) {
      if (groups_[g].there && !groups_[g].on_its_way && !Contains(wanted, g)) Release(g);
    }
  }

  std::vector<Instruction> TakeList() { return std::move(list_); }
  int events() const { return events_; }

 private:
  // An instruction that reads sharded groups.
  struct Read {
    size_t at = 0;
    std::vector<int> groups;
  };
  struct Group {
    bool there = false;
    bool on_its_way = false;  // gathered, and not waited for
    int event = -1;
    size_t next = 0;  // in its uses: the first that has not been passed
  };

  // The groups beside its own that are read soonest after `read`, as many as are gathered ahead, the soonest first.
  // To be called in the order of the list.
  std::vector<int> ReadAfter(const Read& read) {
    std::vector<std::pair<size_t, int>> uses;
    for (int g = 0; g < static_cast<int>(groups_.size()); ++g) {
      Group& group = groups_[g];
      while (group.next < uses_[g].size() && uses_[g][group.next] <= read.at) ++group.next;
      if (group.next < uses_[g].size() && !Contains(read.groups, g)) uses.emplace_back(uses_[g][group.next], g);
    }
    std::sort(uses.begin(), uses.end());
    if (static_cast<int>(uses.size()) > model_.gather_ahead) uses.resize(model_.gather_ahead);
    std::vector<int> after;
    for (const auto& [use, g] : uses) after.push_back(g);
    return after;
  }

  void Gather(int g) {
    Group& group = groups_[g];
    if (group.there) return;
    group.there = group.on_its_way = true;
    group.event = events_++;
    list_.push_back({Op::kGather, g, -1, group.event, Keep::kAll});
  }

  void Release(int g) {
    groups_[g].there = false;
    list_.push_back({Op::kRelease, g, -1, -1, Keep::kAll});
  }

  const ModelShape& model_;
  std::vector<Group> groups_;
  std::vector<std::vector<size_t>> uses_;  // by group: where in the list it is read
  std::vector<Read> reads_;
  size_t read_ = 0;         // the next one
  std::vector<int> ahead_;  // what is gathered ahead before it
  std::vector<Instruction> list_;
  int events_;
};

}  // namespace

void AddGathers(const ModelShape& model, Schedule* schedule) {
  Gathers gathers(model, *schedule);
  for (size_t at = 0; at < schedule->instructions.size(); ++at) gathers.Play(schedule->instructions[at], at);
  schedule->instructions = gathers.TakeList();
  schedule->events = gathers.events();
}

}  // namespace stowage
