// MPI, and its results as Status. The only header that includes mpi.h.
#ifndef STOWAGE_SHARDING_MPI_STATUS_H_
#define STOWAGE_SHARDING_MPI_STATUS_H_

// MPI's C++ bindings were removed from the standard, and need a library that we do not link.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace stowage {

// OK for MPI_SUCCESS; else kUnavailable: "MPI_Isend on rank 1 (of all_gather of 7 F32): <what MPI says>".
// `during` may be empty. Call it on the thread that calls MPI.
absl::Status MpiStatus(int result, absl::string_view call, int rank, absl::string_view during = "");

}  // namespace stowage

#endif  // STOWAGE_SHARDING_MPI_STATUS_H_
