// A number of bytes that the holders of one name may take together: of the process, of a context, of a pool.
//
// A limit may lie inside another: what it takes, the outer one takes too, so that a pool inside a context inside the
// process is bounded by all three. A request that does not fit makes room first (the cleanups in their order, of the
// limit that is too small), then fails and takes nothing, from no limit.
//
//   MemoryLimit process("process", 8 GiB);
//   MemoryLimit stash("stash", 2 GiB, &process);
//   STOWAGE_ASSIGN_OR_RETURN(MemoryLimit::Hold hold, stash.Take(bytes, "layer3"));
//
// It counts what it is told; the bytes themselves are the caller's. Thread-safe. Cleanups run without locks held.
#ifndef STOWAGE_MEMORY_BUDGET_MEMORY_LIMIT_H_
#define STOWAGE_MEMORY_BUDGET_MEMORY_LIMIT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace stowage {

class MemoryLimit {
 public:
  // Bytes taken, given back when it goes. Movable; the limit must outlive it.
  class Hold {
   public:
    Hold() = default;
    Hold(Hold&& other) noexcept { *this = std::move(other); }
    Hold& operator=(Hold&& other) noexcept;
    ~Hold() { Release(); }
    int64_t bytes() const { return bytes_; }
    void Release();

   private:
    friend class MemoryLimit;
    Hold(MemoryLimit* limit, std::string holder, int64_t bytes)
        : limit_(limit), holder_(std::move(holder)), bytes_(bytes) {}

    MemoryLimit* limit_ = nullptr;
    std::string holder_;
    int64_t bytes_ = 0;
  };

  // `outer`, if any, must outlive this.
  MemoryLimit(std::string name, int64_t limit_bytes, MemoryLimit* outer = nullptr);
  // Nothing may be held.
  ~MemoryLimit();
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;

  // ResourceExhausted: it does not fit here or further out, with the sizes and the largest holders of the limit that is
  // too small; nothing was taken. InvalidArgument: a negative size.
  absl::StatusOr<Hold> Take(int64_t bytes, const std::string& holder);

  // `cleanup(bytes)` gives up what it can spare, by releasing its holds.
  void AddCleanup(std::function<void(int64_t bytes)> cleanup);

  const std::string& name() const { return name_; }
  int64_t limit_bytes() const { return limit_bytes_; }
  int64_t held_bytes() const;

 private:
  // Takes here only. False: it does not fit.
  bool TryTake(int64_t bytes, const std::string& holder);
  void GiveBack(int64_t bytes, const std::string& holder);
  absl::Status TakeHere(int64_t bytes, const std::string& holder);
  absl::Status TooSmall(int64_t bytes, const std::string& holder) const;

  const std::string name_;
  const int64_t limit_bytes_;
  MemoryLimit* const outer_;
  mutable std::mutex mu_;
  int64_t held_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<std::string, int64_t> holders_ ABSL_GUARDED_BY(mu_);
  std::vector<std::function<void(int64_t)>> cleanups_ ABSL_GUARDED_BY(mu_);
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_BUDGET_MEMORY_LIMIT_H_
