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
  } catch (const c10::OutOfMemoryError& error) {
    return absl::ResourceExhaustedError(error.what_without_backtrace());
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    // LibTorch's own CPU allocator, where ours is not installed, has no type for it.
    if (absl::StrContains(text, "not enough memory")) return absl::ResourceExhaustedError(text);
    return absl::InternalError(text);
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  } catch (...) {
    return absl::InternalError("an exception of a type that says nothing");
  }
}

}  // namespace stowage
