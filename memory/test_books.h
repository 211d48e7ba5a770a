// The one ledger of a test's process: the allocator is installed once, so all tests of a binary share it, and each
// leaves it as it found it.
#ifndef STOWAGE_MEMORY_TEST_BOOKS_H_
#define STOWAGE_MEMORY_TEST_BOOKS_H_

#include <gtest/gtest.h>

#include "memory/counting_allocator.h"

namespace stowage {

inline Ledger& TestBooks() {
  static Ledger* ledger = [] {
    auto* made = new Ledger;
    const absl::Status status = InstallCountingAllocator(made);
    if (!status.ok()) ADD_FAILURE() << status;
    return made;
  }();
  return *ledger;
}

}  // namespace stowage

#endif  // STOWAGE_MEMORY_TEST_BOOKS_H_
