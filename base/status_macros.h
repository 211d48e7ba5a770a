// Passing an absl::Status up, with more context on the way.
//
//   STOWAGE_RETURN_IF_ERROR(file.Close());
//   STOWAGE_ASSIGN_OR_RETURN(auto text, ReadFile(path));
#ifndef STOWAGE_BASE_STATUS_MACROS_H_
#define STOWAGE_BASE_STATUS_MACROS_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace stowage {

// The same code, with `context` and ": " before the message. OK stays OK.
inline absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(context, ": ", status.message()));
}

}  // namespace stowage

#define STOWAGE_MACRO_CONCAT_INNER_(a, b) a##b
#define STOWAGE_MACRO_CONCAT_(a, b) STOWAGE_MACRO_CONCAT_INNER_(a, b)

#define STOWAGE_RETURN_IF_ERROR(expr)                    \
  do {                                                   \
    ::absl::Status stowage_status_ = (expr);             \
    if (!stowage_status_.ok()) return stowage_status_;   \
  } while (false)

#define STOWAGE_ASSIGN_OR_RETURN(lhs, expr) \
  STOWAGE_ASSIGN_OR_RETURN_IMPL_(STOWAGE_MACRO_CONCAT_(stowage_or_, __LINE__), lhs, expr)

#define STOWAGE_ASSIGN_OR_RETURN_IMPL_(tmp, lhs, expr) \
  auto tmp = (expr);                                   \
  if (!tmp.ok()) return tmp.status();                  \
  lhs = std::move(tmp).value()

#endif  // STOWAGE_BASE_STATUS_MACROS_H_
