// Memory that the ranks of one host share: an anonymous file (memfd) of each rank, mapped by all of them.
//
// Such files do not lie in /dev/shm and are not bound by its size. A peer opens one as /proc/PID/fd/N, which the kernel
// allows between processes of one user in one process namespace (threads of one process included).
#ifndef STOWAGE_SHARDING_SHARED_MEMORY_WINDOW_H_
#define STOWAGE_SHARDING_SHARED_MEMORY_WINDOW_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "sharding/communicator.h"

namespace stowage {

// One mapping, readable and writable. Unmaps when destroyed; the memory goes when the last rank has unmapped it.
class Window {
 public:
  // Takes the mapping over; `data` may be null.
  Window(void* data, int64_t bytes) : data_(static_cast<char*>(data)), bytes_(bytes) {}
  ~Window();
  Window(Window&& other) noexcept;
  Window& operator=(Window&&) = delete;

  char* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  char* data_;
  int64_t bytes_;
};

// Whose memory the windows are.
enum class WindowOwner {
  kEachRank,   // one window of each member
  kFirstRank,  // one window, the first member's, which all of them map
};

// The members' windows, by place in `members` (one with kFirstRank), `bytes` each, zeros; bytes > 0. `members`: ranks
// of `meeting`, this one among them. `reserve`: the memory is taken at once, so that a host without room gives an error
// here and not a signal at the first write.
// Collective over all ranks of `meeting`, members or not: two ExchangeTexts; ranks may give different members.
// An error of one rank is that of all. ResourceExhausted: no memory, or no file descriptors. FailedPrecondition: a
// member is on another host, in another process namespace, or another user's.
absl::StatusOr<std::vector<Window>> MeetWindows(Communicator& meeting, const std::vector<int>& members, int64_t bytes,
                                                WindowOwner owner, bool reserve);

}  // namespace stowage

#endif  // STOWAGE_SHARDING_SHARED_MEMORY_WINDOW_H_
