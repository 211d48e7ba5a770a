#include "trainer/run/rehearsal_recorder.h"

#include <limits>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/byte_size.h"
#include "base/status_macros.h"
#include "memory/counting_allocator.h"
#include "memory/holders.h"
#include "memory/thread_counts.h"

namespace stowage {
namespace {

std::string Name(int category) { return std::string(CategoryName(static_cast<Category>(category))); }

std::map<std::string, int64_t> Live(const LedgerSnapshot& snapshot) {
  std::map<std::string, int64_t> bytes;
  for (int c = 0; c < kCategories; ++c) bytes[Name(c)] = snapshot.categories[c].live;
  return bytes;
}

}  // namespace

RehearsalRecorder::RehearsalRecorder(LedgerMarks& marks, MemoryMarks& memory)
    : marks_(marks), memory_(memory), before_(SetFreeWatch(this)) {}

RehearsalRecorder::~RehearsalRecorder() {
  End();
  SetFreeWatch(before_);
}

void RehearsalRecorder::BeginPhase(const std::string& phase, std::vector<int> micro_batches) {
  End();
  phases_.emplace_back();
  phases_.back().phase = phase;
  micro_batches_ = std::move(micro_batches);
  phase_highest_ = 0;
  phase_peaks_ = Peaks();
  marks_.Open(&phase_peaks_);
  in_phase_ = true;
}

void RehearsalRecorder::End() {
  if (!in_phase_) return;
  in_phase_ = false;
  marks_.Close(&phase_peaks_);
  PhasePrediction& phase = phases_.back();
  const PlacePeaks& host = phase_peaks_.host();
  phase.total_peak_bytes = host.total;
  for (int c = 0; c < kCategories; ++c) phase.peak_bytes[Name(c)] = host.categories[c];
  // Between instructions no more was held than the phase's own highest says, but perhaps more than in any of them.
  if (phase_highest_ < host.total) phase.peak_instruction.clear();
}

void RehearsalRecorder::Look() {
  const LedgerSnapshot now = marks_.ledger().Snapshot();
  if (now.total.live > highest_.total.live) highest_ = now;
}

void RehearsalRecorder::Before(const Instruction& instruction) {
  memory_.Before(instruction);
  others_ = AllocationsOfOtherThreads();
  instruction_peaks_ = Peaks();
  marks_.Open(&instruction_peaks_);
  highest_ = marks_.ledger().Snapshot();
}

void RehearsalRecorder::After(const Instruction& instruction) {
  Look();
  marks_.Close(&instruction_peaks_);
  InstructionPrediction row;
  row.phase = phases_.back().phase;
  row.label = CurrentInstruction();
  if (instruction.micro >= 0 && instruction.micro < static_cast<int>(micro_batches_.size())) {
    row.micro_batch = micro_batches_[instruction.micro];
  }
  const LedgerSnapshot now = marks_.ledger().Snapshot();
  row.live_bytes = Live(now);
  row.total_live_bytes = now.total.live;
  row.peak_bytes = Live(highest_);
  row.total_peak_bytes = instruction_peaks_.host().total;
  if (row.total_peak_bytes > phase_highest_) {
    phase_highest_ = row.total_peak_bytes;
    phases_.back().peak_instruction = row.label;
  }
  const int64_t by_others = AllocationsOfOtherThreads() - others_;
  if (by_others > 0 && status_.ok()) {
    status_ = absl::FailedPreconditionError(absl::StrCat(
        row.label, ": ", by_others, by_others == 1 ? " tensor was" : " tensors were",
        " allocated by another thread than the one that plays it, and a rehearsal has one: compute on the thread that "
        "calls forward, or train without a plan (stowage train --no-plan)"));
  }
  instructions_.push_back(std::move(row));
  memory_.After(instruction);
}

void RehearsalRecorder::DataWasRead() { others_ = AllocationsOfOtherThreads(); }

absl::Status RehearsalRecorder::EndStep() {
  STOWAGE_RETURN_IF_ERROR(status_);
  const int64_t bytes = marks_.ledger().live(Category::kActivations) + marks_.ledger().live(Category::kWorkspace);
  std::map<std::string, int64_t> left;
  for (const Holder& holder : LargestHolders(std::numeric_limits<int>::max())) {
    if (holder.category == Category::kActivations || holder.category == Category::kWorkspace) {
      left[holder.instruction] += holder.bytes;
    }
  }
  const bool more = left_.has_value() && bytes > left_bytes_;
  std::string maker;
  for (const auto& [instruction, held] : left) {
    if (more && maker.empty() && !instruction.empty() && held > (*left_)[instruction]) maker = instruction;
  }
  const int64_t growth = bytes - left_bytes_;
  left_ = std::move(left);
  left_bytes_ = bytes;
  if (!more) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      maker.empty() ? "an instruction" : maker, ": after a step ", HumanByteSize(growth),
      " more of its tensors are held than after the step before: a module keeps them from step to step, so that what a "
      "run holds depends on its length; keep a fixed number of tensors, or train without a plan (stowage train "
      "--no-plan)"));
}

}  // namespace stowage
