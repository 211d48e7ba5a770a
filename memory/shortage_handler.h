// What is done when a block cannot be had: first room is made, then the error is worded.
#ifndef STOWAGE_MEMORY_SHORTAGE_HANDLER_H_
#define STOWAGE_MEMORY_SHORTAGE_HANDLER_H_

#include <cstdint>
#include <string>

#include "memory/category.h"

namespace stowage {

// Called out of an allocation, on the thread that made it, with no lock of memory/ held. Neither method may allocate
// tensors. Thread-safe.
class ShortageHandler {
 public:
  virtual ~ShortageHandler() = default;

  // `bytes` were asked for and refused. True: something has changed, ask once more (and be called again if that is
  // refused too). False: nothing is left to try.
  virtual bool MakeRoom(int64_t bytes) = 0;

  // The text of the error: what was asked for, what is held, what the limit is, what to change.
  virtual std::string Explain(int64_t bytes, Category category) = 0;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_SHORTAGE_HANDLER_H_
