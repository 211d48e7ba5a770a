// The one place where what LibTorch and the allocator throw becomes an absl::Status.
#ifndef STOWAGE_TRAINER_EXECUTOR_EXCEPTIONS_H_
#define STOWAGE_TRAINER_EXECUTOR_EXCEPTIONS_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace stowage {

// Runs `body`. std::bad_alloc and LibTorch's out-of-memory errors: ResourceExhausted. Other exceptions: Internal,
// with the first lines of their text (not LibTorch's backtrace).
absl::Status CatchExceptions(absl::FunctionRef<void()> body);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_EXECUTOR_EXCEPTIONS_H_
