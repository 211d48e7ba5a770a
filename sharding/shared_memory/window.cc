#include "sharding/shared_memory/window.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "sharding/agreement.h"

namespace stowage {
namespace {

// Below this a huge page would waste more than its table entries cost.
constexpr int64_t kHugeFromBytes = int64_t{8} << 20;

// Closes at the end of its scope.
class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

absl::Status NoRoom(const char* call, int64_t bytes, int error) {
  return absl::ResourceExhaustedError(absl::StrCat("shared memory of ", bytes,
                                                   " bytes between the ranks of this host: ", call, ": ",
                                                   strerror(error), "; sharding.backend: mpi does without"));
}

absl::Status SizeFile(int fd, int64_t bytes, bool reserve) {
  if (fd < 0) return NoRoom("memfd_create", bytes, errno);
  if (ftruncate(fd, bytes) != 0) return NoRoom("ftruncate", bytes, errno);
  if (!reserve) return absl::OkStatus();
  const int error = posix_fallocate(fd, 0, bytes);
  return error == 0 ? absl::OkStatus() : NoRoom("posix_fallocate", bytes, error);
}

absl::StatusOr<Window> Map(int fd, int64_t bytes) {
  void* const data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) return NoRoom("mmap", bytes, errno);
  // Advice: a kernel that has no huge pages for shared memory declines, and nothing else changes.
  if (bytes >= kHugeFromBytes) static_cast<void>(madvise(data, bytes, MADV_HUGEPAGE));
  return Window(data, bytes);
}

// `said`: "PID FD DEVICE INODE" of a member.
absl::StatusOr<Window> MapPeers(absl::string_view said, int rank, int64_t bytes) {
  const std::vector<std::string> words = absl::StrSplit(said, ' ');
  if (words.size() != 4) {
    return absl::InternalError(
        absl::StrCat("rank ", rank, " told no window where one belongs: its sequence of calls ", "differs from ours"));
  }
  const std::string path = absl::StrCat("/proc/", words[0], "/fd/", words[1]);
  const File file(open(path.c_str(), O_RDWR | O_CLOEXEC));
  struct stat found = {};
  // The inode, too: behind another process namespace the number may be somebody else's process.
  if (file.fd() < 0 || fstat(file.fd(), &found) != 0 || words[2] != absl::StrCat(found.st_dev) ||
      words[3] != absl::StrCat(found.st_ino)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the shared memory of rank ", rank, " cannot be opened at ", path, ": ",
        file.fd() < 0 ? strerror(errno) : "another process has that number",
        "; ranks that share memory are of one host, one user and one process namespace: sharding.backend: mpi does "
        "without"));
  }
  return Map(file.fd(), bytes);
}

}  // namespace

Window::~Window() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

Window::Window(Window&& other) noexcept : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}

absl::StatusOr<std::vector<Window>> MeetWindows(Communicator& meeting, const std::vector<int>& members, int64_t bytes,
                                                WindowOwner owner, bool reserve) {
  const bool owns = owner == WindowOwner::kEachRank || meeting.rank() == members.front();
  const File file(owns ? memfd_create("stowage", MFD_CLOEXEC) : -1);
  absl::Status status = owns ? SizeFile(file.fd(), bytes, reserve) : absl::OkStatus();
  struct stat mine = {};
  if (owns && status.ok() && fstat(file.fd(), &mine) != 0) status = NoRoom("fstat", bytes, errno);
  const std::string word =
      status.ok() && owns ? absl::StrCat(getpid(), " ", file.fd(), " ", mine.st_dev, " ", mine.st_ino) : "none";
  STOWAGE_ASSIGN_OR_RETURN(const std::vector<std::string> said, meeting.ExchangeText(word));

  std::vector<Window> windows;
  const size_t count = owner == WindowOwner::kEachRank ? members.size() : 1;
  for (size_t place = 0; place < count && status.ok(); ++place) {
    if (said[members[place]] == "none") {
      status =
          absl::ResourceExhaustedError(absl::StrCat("rank ", members[place], " has no window of ", bytes, " bytes"));
      break;
    }
    absl::StatusOr<Window> window = MapPeers(said[members[place]], members[place], bytes);
    status = window.status();
    if (window.ok()) windows.push_back(*std::move(window));
  }
  // Files stay open until all have mapped them.
  STOWAGE_RETURN_IF_ERROR(AgreeOnStatus(meeting, status));
  return windows;
}

}  // namespace stowage
