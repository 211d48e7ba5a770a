#include "trainer/executor/exceptions.h"

#include <exception>
#include <new>

#include <c10/util/Exception.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace stowage {

absl::Status CatchExceptions(absl::FunctionRef<void()> body) {
  try {
    body();
    return absl::OkStatus();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory: the system refused an allocation");
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    // LibTorch's own CPU allocator reports failure this way; ours joins it until the budget has a type of its own.
    if (absl::StrContains(text, "not enough memory")) return absl::ResourceExhaustedError(text);
    return absl::InternalError(text);
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  }
}

}  // namespace stowage
