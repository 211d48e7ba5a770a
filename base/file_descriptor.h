// Owns an open file descriptor.
#ifndef STOWAGE_BASE_FILE_DESCRIPTOR_H_
#define STOWAGE_BASE_FILE_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace stowage {

// Closed by the destructor, which loses an error: whoever must know calls Close. Not thread-safe.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}  // negative: none
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor() {
    if (is_open()) close(fd_);
  }

  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

  // As close(2), errno too. The descriptor is gone even after an error.
  int Close() { return close(std::exchange(fd_, -1)); }

 private:
  int fd_ = -1;
};

}  // namespace stowage

#endif  // STOWAGE_BASE_FILE_DESCRIPTOR_H_
