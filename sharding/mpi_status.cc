#include "sharding/mpi_status.h"

#include "absl/strings/str_cat.h"

namespace stowage {

absl::Status MpiStatus(int result, absl::string_view call, int rank, absl::string_view during) {
  if (result == MPI_SUCCESS) return absl::OkStatus();
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  if (MPI_Error_string(result, text, &length) != MPI_SUCCESS) length = 0;
  return absl::UnavailableError(
      absl::StrCat(call, " on rank ", rank, during.empty() ? "" : absl::StrCat(" (of ", during, ")"), ": ",
                   length > 0 ? absl::string_view(text, length) : "unknown MPI error", " (", result, ")"));
}

}  // namespace stowage
