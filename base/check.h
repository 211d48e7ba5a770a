// STOWAGE_CHECK: for bugs of ours, never for anything that a person typed, a file held or a peer sent.
//
//   STOWAGE_CHECK(offset % 16 == 0) << "offset " << offset << " of " << name;
//
// Prints file, line, the condition and the streamed values to stderr, then aborts. Always on.
#ifndef STOWAGE_BASE_CHECK_H_
#define STOWAGE_BASE_CHECK_H_

#include <cstdlib>
#include <iostream>
#include <sstream>

namespace stowage::internal {

class CheckFailure {
 public:
  CheckFailure(const char* file, int line, const char* condition) {
    text_ << "stowage: bug: " << file << ":" << line << ": " << condition << " does not hold: ";
  }
  [[noreturn]] ~CheckFailure() {
    std::cerr << text_.str() << std::endl;
    std::abort();
  }
  std::ostream& stream() { return text_; }

 private:
  std::ostringstream text_;
};

struct Voidify {
  void operator&(std::ostream&) {}
};

}  // namespace stowage::internal

#define STOWAGE_CHECK(condition)                    \
  (condition) ? static_cast<void>(0)                \
              : ::stowage::internal::Voidify() &    \
                    ::stowage::internal::CheckFailure(__FILE__, __LINE__, #condition).stream()

#endif  // STOWAGE_BASE_CHECK_H_
