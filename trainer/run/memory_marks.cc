#include "trainer/run/memory_marks.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace stowage {
namespace {

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

absl::string_view PhaseName(Phase phase) {
  switch (phase) {
    case Phase::kInit:
      return "init";
    case Phase::kTrain:
      return "train";
    case Phase::kEval:
      return "eval";
    case Phase::kSave:
      return "save";
    case Phase::kLoad:
      return "load";
  }
  return "?";
}

MemoryMarks::MemoryMarks(LedgerMarks& marks) : marks_(marks) {
  had_phase_[static_cast<int>(phase_)] = true;
  marks_.Open(&phases_[static_cast<int>(phase_)]);
}

MemoryMarks::~MemoryMarks() {
  if (step_ > 0) marks_.Close(&step_peaks_);
  marks_.Close(&phases_[static_cast<int>(phase_)]);
}

Phase MemoryMarks::SwitchTo(Phase phase) {
  const Phase before = phase_;
  marks_.Close(&phases_[static_cast<int>(phase_)]);
  phase_ = phase;
  had_phase_[static_cast<int>(phase_)] = true;
  marks_.Open(&phases_[static_cast<int>(phase_)]);
  return before;
}

std::optional<Peaks> MemoryMarks::phase(Phase phase) {
  if (!had_phase_[static_cast<int>(phase)]) return std::nullopt;
  return marks_.Read(phases_[static_cast<int>(phase)]);
}

std::string MemoryMarks::LabelOf(const Instruction& instruction) const {
  const std::string op(OpName(instruction.op));
  const auto named = [&](const std::vector<std::string>& names, int i) {
    STOWAGE_CHECK(i >= 0 && i < static_cast<int>(names.size())) << op << " " << i;
    return absl::StrCat(op, " ", names[i]);
  };
  switch (TargetOf(instruction.op)) {
    case TargetKind::kSegment:
      return named(model_.segments, instruction.target);
    case TargetKind::kGroup:
      return named(model_.groups, instruction.target);
    case TargetKind::kNone:
      break;
  }
  const auto group = group_of_event_.find(instruction.event);
  return instruction.op != Op::kWait || group == group_of_event_.end() ? op : named(model_.groups, group->second);
}

void MemoryMarks::Before(const Instruction& instruction) {
  STOWAGE_CHECK(current_ == nullptr) << "instructions do not nest";
  if (instruction.op == Op::kReduce) group_of_event_[instruction.event] = instruction.target;
  // An evaluation may have thousands of micro-batches, all alike; waits differ by their event alone.
  const int micro_batch = step_ > 0 ? instruction.micro : -1;
  const int target = instruction.op == Op::kWait ? instruction.event : instruction.target;
  InstructionPeaks& entry = instructions_[Key(phase_, instruction.op, target, micro_batch)];
  if (entry.times == 0) {
    entry.phase = phase_;
    entry.label = Label(LabelOf(instruction));
    entry.micro_batch = micro_batch;
  }
  current_ = &entry;
  current_peaks_ = Peaks();
  scope_.emplace(entry.label);
  if (tracing()) {
    live_at_start_ = ReadLive(marks_.ledger());
    start_ns_ = NowNs();
  }
  marks_.Open(&current_peaks_);
}

void MemoryMarks::After(const Instruction&) {
  marks_.Close(&current_peaks_);
  scope_.reset();
  InstructionPeaks& entry = *std::exchange(current_, nullptr);
  if (++entry.times == 1) entry.first_host_bytes = current_peaks_.host().total;
  entry.peaks.Raise(current_peaks_);
  if (step_ > 0) {
    if (entry.last_step != step_) entry.last_step_peaks = Peaks();
    entry.last_step = step_;
    entry.last_step_peaks.Raise(current_peaks_);
  }
  if (tracing()) {
    trace_.Add({entry.label, /*outer=*/false, step_, entry.micro_batch, start_ns_, NowNs(), live_at_start_,
                ReadLive(marks_.ledger()), current_peaks_});
  }
}

void MemoryMarks::BeginStep(int64_t step) {
  STOWAGE_CHECK(step_ == 0 && step > 0) << step_ << ", " << step;
  step_ = step;
  step_peaks_ = Peaks();
  if (tracing()) {
    live_at_step_start_ = ReadLive(marks_.ledger());
    step_start_ns_ = NowNs();
  }
  marks_.Open(&step_peaks_);
}

Peaks MemoryMarks::EndStep() {
  STOWAGE_CHECK(step_ > 0);
  marks_.Close(&step_peaks_);
  if (tracing()) {
    trace_.Add({Label("step"), /*outer=*/true, step_, /*micro_batch=*/-1, step_start_ns_, NowNs(), live_at_step_start_,
                ReadLive(marks_.ledger()), step_peaks_});
    ++steps_traced_;
  }
  step_ = 0;
  return step_peaks_;
}

absl::Status MemoryMarks::WriteTrace() {
  if (steps_to_trace_ == 0) return absl::OkStatus();
  steps_to_trace_ = 0;
  const MemoryTrace trace = std::exchange(trace_, MemoryTrace());
  STOWAGE_RETURN_IF_ERROR(
      WriteFileDurably(absl::StrCat(trace_folder_, "/memory.trace.json"), trace.Json("memory of rank 0")));
  return WriteFileDurably(absl::StrCat(trace_folder_, "/memory.csv"), trace.Csv());
}

std::vector<InstructionPeaks> MemoryMarks::instructions() const {
  std::vector<InstructionPeaks> all;
  for (const auto& [key, entry] : instructions_) all.push_back(entry);
  return all;
}

std::vector<InstructionPeaks> MemoryMarks::Highest(int count) const {
  std::vector<InstructionPeaks> all = instructions();
  std::stable_sort(all.begin(), all.end(), [](const InstructionPeaks& a, const InstructionPeaks& b) {
    return a.peaks.host().total > b.peaks.host().total;
  });
  if (static_cast<int>(all.size()) > count) all.resize(count);
  return all;
}

}  // namespace stowage
