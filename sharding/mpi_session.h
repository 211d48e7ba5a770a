// MPI from MPI_Init_thread to MPI_Finalize. A process can do that once.
//
// Everything here: only on the one thread that calls MPI.
#ifndef STOWAGE_SHARDING_MPI_SESSION_H_
#define STOWAGE_SHARDING_MPI_SESSION_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sharding/communicator.h"
#include "sharding/mpi_status.h"

namespace stowage {

struct MpiSession {
  MPI_Comm comm = MPI_COMM_NULL;  // a copy of MPI_COMM_WORLD that nobody else sends on; errors are returned
  MPI_Comm messages = MPI_COMM_NULL;  // another, for messages between pairs: they are not to meet collectives
  Placement placement;
};

// Collective over all ranks of the launcher. FailedPrecondition: MPI was initialised, or finalised, before.
absl::StatusOr<MpiSession> BeginMpi();

// Collective: a rank that calls it waits until all do.
absl::Status EndMpi(MpiSession& session);

}  // namespace stowage

#endif  // STOWAGE_SHARDING_MPI_SESSION_H_
