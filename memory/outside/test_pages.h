// Mappings for tests: touched, and gone with the object.
#ifndef STOWAGE_MEMORY_OUTSIDE_TEST_PAGES_H_
#define STOWAGE_MEMORY_OUTSIDE_TEST_PAGES_H_

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <memory>

#include "gtest/gtest.h"

namespace stowage {

class TestPages {
 public:
  static constexpr int64_t kPageBytes = 4096;

  static std::unique_ptr<TestPages> Anonymous(int64_t bytes, int rights = PROT_READ | PROT_WRITE) {
    return Of(bytes, rights, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  }
  // A shared mapping of an unnamed file in memory.
  static std::unique_ptr<TestPages> Memfd(const char* name, int64_t bytes) {
    const int file = memfd_create(name, MFD_CLOEXEC);
    EXPECT_GE(file, 0);
    EXPECT_EQ(ftruncate(file, bytes), 0);
    auto pages = Of(bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file);
    close(file);
    return pages;
  }
  static std::unique_ptr<TestPages> Of(int64_t bytes, int rights, int flags, int file) {
    // Between pages without rights, so that the kernel does not join it with a neighbour.
    char* const room = static_cast<char*>(
        mmap(nullptr, bytes + 2 * kPageBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    EXPECT_NE(room, MAP_FAILED);
    void* const data = mmap(room + kPageBytes, bytes, rights, flags | MAP_FIXED, file, 0);
    EXPECT_NE(data, MAP_FAILED);
    if (flags & MAP_ANONYMOUS || flags & MAP_SHARED) {
      if (rights & PROT_WRITE) std::memset(data, 1, bytes);
    } else {
      // Private file pages are only read.
      volatile char sum = 0;
      for (int64_t at = 0; at < bytes; at += kPageBytes) sum = sum + static_cast<char*>(data)[at];
    }
    return std::unique_ptr<TestPages>(new TestPages(room, static_cast<char*>(data), bytes));
  }
  ~TestPages() { munmap(room_, bytes_ + 2 * kPageBytes); }

  char* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  TestPages(char* room, char* data, int64_t bytes) : room_(room), data_(data), bytes_(bytes) {}

  char* const room_;
  char* const data_;
  const int64_t bytes_;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_OUTSIDE_TEST_PAGES_H_
