// The backstop of a budget: malloc, mmap and brk are refused by the system where they would go far beyond it.
//
// What libraries take from malloc passes no allocator of ours. RLIMIT_DATA is the one limit of a process that stops it
// before the bytes are there: it counts private writable mappings, so not the pool's reserved range (PROT_NONE) until
// parts of it are made usable, nor shared windows, nor files mapped to be read. But it counts addresses and not pages:
// the stack of a new thread (8 MiB, of which some KiB are used), and holes of the pool. So it cannot be the budget
// itself; it is set again and again to what is mapped now, plus what the budget has left, plus kSlackBytes.
//
// Source: getrlimit(2); may_expand_vm in the kernel's mm/mmap.c.
// Not thread-safe: the budget has the lock. Sets back what was there when it goes.
#ifndef STOWAGE_MEMORY_BUDGET_DATA_LIMIT_H_
#define STOWAGE_MEMORY_BUDGET_DATA_LIMIT_H_

#include <sys/resource.h>

#include <cstdint>

namespace stowage {

class DataLimit {
 public:
  // The stacks of two threads to come: a thread that cannot start ends the process in some libraries.
  static constexpr int64_t kSlackBytes = int64_t{16} << 20;

  DataLimit();
  ~DataLimit();
  DataLimit(const DataLimit&) = delete;
  DataLimit& operator=(const DataLimit&) = delete;

  // `left_bytes`: what this process may still take. True: `wanted_bytes` of new mappings were refused by the limit
  // before this call and are not now. Never above the limit that the process was started with.
  bool Set(int64_t left_bytes, int64_t wanted_bytes);

  // In force now; a negative number: none could be set, and the reason is the system's own.
  int64_t bytes() const { return bytes_; }

 private:
  rlimit before_;
  int64_t bytes_ = -1;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_BUDGET_DATA_LIMIT_H_
