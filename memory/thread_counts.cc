#include "memory/thread_counts.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>

namespace stowage {
namespace {

// Written by its thread only, so that an addition needs no lock prefix.
struct Counter {
  int64_t thread_id = 0;
  std::atomic<int64_t> allocations{0};
  std::atomic<int64_t> bytes{0};
};

struct Counters {
  std::mutex mu;
  std::vector<Counter*> living;
  ThreadCount ended;
};

// Never destroyed: threads may end while the process does.
Counters& All() {
  static Counters* const all = new Counters;
  return *all;
}

// Without a constructor, so that reading it is one instruction.
thread_local Counter* mine = nullptr;
thread_local bool thread_ended = false;

// Its destructor is what happens when the thread ends.
struct Registration {
  std::unique_ptr<Counter> counter = std::make_unique<Counter>();

  Registration() {
    counter->thread_id = syscall(SYS_gettid);
    Counters& all = All();
    const std::lock_guard<std::mutex> lock(all.mu);
    all.living.push_back(counter.get());
  }
  ~Registration() {
    mine = nullptr;
    thread_ended = true;
    Counters& all = All();
    const std::lock_guard<std::mutex> lock(all.mu);
    all.ended.allocations += counter->allocations.load(std::memory_order_relaxed);
    all.ended.bytes += counter->bytes.load(std::memory_order_relaxed);
    all.living.erase(std::find(all.living.begin(), all.living.end(), counter.get()));
  }
};

// The thread's first allocation, or one by a destructor of its thread-local variables, after ours.
void CountWithoutCounter(int64_t bytes) {
  if (!thread_ended) {
    thread_local Registration registration;
    mine = registration.counter.get();
    CountAllocation(bytes);
    return;
  }
  Counters& all = All();
  const std::lock_guard<std::mutex> lock(all.mu);
  all.ended.allocations += 1;
  all.ended.bytes += bytes;
}

void Increase(std::atomic<int64_t>* counter, int64_t by) {
  counter->store(counter->load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

// Of other threads, in a TeamScope.
std::atomic<int64_t> of_teams{0};

}  // namespace

void CountAllocation(int64_t bytes) {
  if (mine == nullptr) return CountWithoutCounter(bytes);
  Increase(&mine->allocations, 1);
  Increase(&mine->bytes, bytes);
}

std::vector<ThreadCount> ThreadCounts() {
  Counters& all = All();
  const std::lock_guard<std::mutex> lock(all.mu);
  std::vector<ThreadCount> counts = {all.ended};
  for (const Counter* counter : all.living) {
    counts.push_back({counter->thread_id, counter->allocations.load(std::memory_order_relaxed),
                      counter->bytes.load(std::memory_order_relaxed)});
  }
  return counts;
}

int64_t AllocationsOfOtherThreads() {
  int64_t allocations = -of_teams.load(std::memory_order_relaxed);
  for (const ThreadCount& thread : ThreadCounts()) allocations += thread.allocations;
  return mine == nullptr ? allocations : allocations - mine->allocations.load(std::memory_order_relaxed);
}

TeamScope::~TeamScope() { of_teams += AllocationsOfOtherThreads() - before_; }

}  // namespace stowage
