#include "trainer/run/planned_steps.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/check.h"
#include "memory/block_source.h"
#include "memory/counting_allocator.h"
#include "memory/planned/lifetimes.h"
#include "memory/planned/pack_arena.h"

namespace stowage {
namespace {

double MiB(int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

// Tensors may outlive the trainer, and each is freed through the source that it came from. Never destroyed, as the
// pool.
void KeepForever(std::unique_ptr<BlockSource> source) {
  static std::mutex* const mu = new std::mutex;
  static auto* const kept = new std::vector<std::unique_ptr<BlockSource>>;
  const std::lock_guard<std::mutex> lock(*mu);
  kept->push_back(std::move(source));
}

void AddCounts(const PlannedStatistics& from, PlannedStatistics* to) {
  to->steps += from.steps;
  to->steps_without += from.steps_without;
  to->served += from.served;
  to->outliving += from.outliving;
  to->unexpected += from.unexpected;
  to->occupied += from.occupied;
  to->overdue += from.overdue;
}

}  // namespace

PlannedSteps::PlannedSteps(Pool* pool, std::function<void(const std::string&)> log)
    : pool_(pool), log_(std::move(log)) {
  if (pool_ != nullptr) recorder_ = std::make_unique<LifetimeRecorder>(*pool_);
}

PlannedSteps::~PlannedSteps() {
  STOWAGE_CHECK(doing_ == Doing::kNothing) << "in the middle of a step";
  Retire();
  for (auto& source : retired_) KeepForever(std::move(source));
  if (recorder_ != nullptr && recorder_->outstanding() > 0) KeepForever(std::move(recorder_));
}

void PlannedSteps::Begin(const Key& key) {
  if (pool_ == nullptr) return;
  STOWAGE_CHECK(doing_ == Doing::kNothing) << "a step in a step";
  const auto empty = [](const auto& source) { return source->GiveArenaBack() && source->outstanding() == 0; };
  retired_.erase(std::remove_if(retired_.begin(), retired_.end(), empty), retired_.end());
  if (source_ != nullptr && key == plan_key_) {
    doing_ = Doing::kPlaying;
    SetThreadBlockSource(source_.get());
    const bool arena = source_->BeginStep();
    // The pages that the recorded step has left idle are the arena's bytes a second time.
    if (arena && !switched_) pool_->Trim();
    switched_ = switched_ || arena;
  } else if (key == last_key_) {
    doing_ = Doing::kRecording;
    SetThreadBlockSource(recorder_.get());
    recorder_->Start();
  }
  last_key_ = key;
}

void PlannedSteps::End(bool ok) {
  const Doing did = std::exchange(doing_, Doing::kNothing);
  if (did == Doing::kNothing) return;
  SetThreadBlockSource(nullptr);
  if (did == Doing::kPlaying) {
    source_->EndStep();
    return;
  }
  const Lifetimes lifetimes = recorder_->Stop();
  if (ok) MakePlan(lifetimes);
}

void PlannedSteps::Forget() {
  STOWAGE_CHECK(doing_ == Doing::kNothing) << "in the middle of a step";
  Retire();
  plan_key_.clear();
  last_key_.clear();
}

void PlannedSteps::MakePlan(const Lifetimes& lifetimes) {
  const absl::Time start = absl::Now();
  const ArenaPlan plan = PackArena(lifetimes);
  Retire();
  source_ = std::make_unique<PlannedSource>(lifetimes, plan, *pool_);
  plan_key_ = last_key_;
  switched_ = false;
  ++plans_;
  log_(absl::StrFormat(
      "planned arena %.1f MiB for %d blocks, peak live %.1f MiB (%.2f %% above), packed in %.2f s",
      MiB(plan.arena_bytes), lifetimes.size(), MiB(plan.peak_live_bytes),
      plan.peak_live_bytes == 0
          ? 0.0
          : 100.0 * (static_cast<double>(plan.arena_bytes) / static_cast<double>(plan.peak_live_bytes) - 1.0),
      absl::ToDoubleSeconds(absl::Now() - start)));
}

void PlannedSteps::Retire() {
  if (source_ == nullptr) return;
  AddCounts(source_->statistics(), &past_);
  if (source_->GiveArenaBack() && source_->outstanding() == 0) {
    source_.reset();
  } else {
    retired_.push_back(std::move(source_));
  }
}

std::string PlannedSteps::Summary() const {
  const PlannedStatistics all = statistics();
  return absl::StrFormat(
      "planned arena %.1f MiB, peak live %.1f MiB, fallbacks %d of %d blocks in %d steps (%d plans; %d blocks outlived "
      "their step as planned, %d did unforeseen, %d steps had no room for the arena)",
      MiB(all.arena_bytes), MiB(all.peak_live_bytes), all.fallbacks(), all.fallbacks() + all.served + all.outliving,
      all.steps, plans_, all.outliving, all.overdue, all.steps_without);
}

PlannedStatistics PlannedSteps::statistics() const {
  PlannedStatistics all = past_;
  if (source_ == nullptr) return all;
  AddCounts(source_->statistics(), &all);
  all.arena_bytes = source_->statistics().arena_bytes;
  all.peak_live_bytes = source_->statistics().peak_live_bytes;
  return all;
}

}  // namespace stowage
