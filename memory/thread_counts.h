// How many blocks each thread has allocated, and how many bytes, since it began. Freeing is not counted: a block may be
// freed on any thread.
//
// Counting costs two additions to memory that no other thread writes.
#ifndef STOWAGE_MEMORY_THREAD_COUNTS_H_
#define STOWAGE_MEMORY_THREAD_COUNTS_H_

#include <cstdint>
#include <vector>

namespace stowage {

struct ThreadCount {
  int64_t thread_id = 0;  // the system's (gettid); 0: all threads that have ended, together
  int64_t allocations = 0;
  int64_t bytes = 0;
};

// Enters one allocation of the calling thread. Allocates once a thread. Thread-safe.
void CountAllocation(int64_t bytes);

// Ended threads first, then the living ones in the order of their first allocation. Thread-safe; a thread that
// allocates meanwhile may show an allocation without its bytes.
std::vector<ThreadCount> ThreadCounts();

// Allocations of all threads but the calling one, ended ones included. Right in a forked child too, where the thread
// has another id than when it began to count. Thread-safe.
int64_t AllocationsOfOtherThreads();

// What other threads allocate while one of these lives, they do for the thread that made it (LibTorch's team in a
// parallel loop): AllocationsOfOtherThreads() leaves it out. One at a time in a process.
class TeamScope {
 public:
  TeamScope() : before_(AllocationsOfOtherThreads()) {}
  ~TeamScope();
  TeamScope(const TeamScope&) = delete;
  TeamScope& operator=(const TeamScope&) = delete;

 private:
  const int64_t before_;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_THREAD_COUNTS_H_
