// Writes down every block that is asked for and freed, and passes it on to another source.
//
//   auto* source = new RecordingSource("quickstart", InstalledPool());   // lives as long as its blocks
//   SetBlockSource(source);
//   ...                                                                  // source->MarkStep() before each step
//   WriteAllocationTrace(path, source->Stop());
//
// Thread-safe; a lock and a table look-up at every call, so it is for recording and not for training.
#ifndef STOWAGE_MEMORY_TRACE_RECORDING_SOURCE_H_
#define STOWAGE_MEMORY_TRACE_RECORDING_SOURCE_H_

#include <cstddef>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "memory/block_source.h"
#include "memory/trace/allocation_trace.h"

namespace stowage {

class RecordingSource final : public BlockSource {
 public:
  // Records from now on. Borrows `source`, which must outlive it; must itself live as long as any block of it.
  RecordingSource(const std::string& name, BlockSource* source);

  void MarkStep();
  // What was recorded. From here on calls are only passed on.
  AllocationTrace Stop();

  void* Allocate(size_t bytes) override;
  void Free(void* block, size_t bytes) override;

 private:
  int ThisThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  BlockSource* const source_;
  std::mutex mu_;  // std: the thread sanitizer does not see the locks of a shared abseil
  bool recording_ ABSL_GUARDED_BY(mu_) = true;
  int allocated_ ABSL_GUARDED_BY(mu_) = 0;
  std::unordered_map<std::thread::id, int> threads_ ABSL_GUARDED_BY(mu_);
  std::unordered_map<void*, int> live_ ABSL_GUARDED_BY(mu_);  // address -> number
  AllocationTrace trace_ ABSL_GUARDED_BY(mu_);
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_TRACE_RECORDING_SOURCE_H_
