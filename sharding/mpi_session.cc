#include "sharding/mpi_session.h"

#include <sys/uio.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "base/status_macros.h"

namespace stowage {
namespace {

// Open MPI copies large messages between processes of a host by process_vm_readv. Where a container's filter forbids
// that call it complains once per message on stderr, so it is told beforehand, unless the user told it something.
void AvoidForbiddenCopies() {
  char from = 1;
  char to = 0;
  iovec local = {&to, 1};
  iovec remote = {&from, 1};
  const bool allowed = process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1;
  if (!allowed) setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", /*overwrite=*/0);
}

absl::Status Initialise() {
  int initialised = 0;
  int finalised = 0;
  MPI_Initialized(&initialised);
  MPI_Finalized(&finalised);
  if (initialised || finalised) {
    return absl::FailedPreconditionError(
        finalised ? "MPI was finalised in this process, and can be started only once"
                  : "MPI is in use in this process; the communicator must be the one that starts it");
  }
  AvoidForbiddenCopies();
  int provided = 0;
  // Funneled: the thread that calls this is the only one that ever calls MPI.
  return MpiStatus(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread", -1);
}

absl::StatusOr<Placement> FindPlacement(MPI_Comm comm) {
  Placement placement;
  MPI_Comm_rank(comm, &placement.rank);
  MPI_Comm_size(comm, &placement.world_size);
  const int rank = placement.rank;
  MPI_Comm host = MPI_COMM_NULL;
  STOWAGE_RETURN_IF_ERROR(MpiStatus(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &host),
                                    "MPI_Comm_split_type", rank));
  MPI_Comm_rank(host, &placement.local_rank);
  MPI_Comm_size(host, &placement.local_size);
  MPI_Comm_free(&host);
  char name[MPI_MAX_PROCESSOR_NAME] = "";
  int length = 0;
  STOWAGE_RETURN_IF_ERROR(MpiStatus(MPI_Get_processor_name(name, &length), "MPI_Get_processor_name", rank));
  placement.host.assign(name, length);
  return placement;
}

}  // namespace

absl::StatusOr<MpiSession> BeginMpi() {
  STOWAGE_RETURN_IF_ERROR(Initialise());
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MpiSession session;
  STOWAGE_RETURN_IF_ERROR(MpiStatus(MPI_Comm_dup(MPI_COMM_WORLD, &session.comm), "MPI_Comm_dup", -1));
  MPI_Comm_set_errhandler(session.comm, MPI_ERRORS_RETURN);
  STOWAGE_RETURN_IF_ERROR(MpiStatus(MPI_Comm_dup(session.comm, &session.messages), "MPI_Comm_dup", -1));
  STOWAGE_ASSIGN_OR_RETURN(session.placement, FindPlacement(session.comm));
  return session;
}

absl::Status EndMpi(MpiSession& session) {
  const int rank = session.placement.rank;
  STOWAGE_RETURN_IF_ERROR(MpiStatus(MPI_Comm_free(&session.messages), "MPI_Comm_free", rank));
  STOWAGE_RETURN_IF_ERROR(MpiStatus(MPI_Comm_free(&session.comm), "MPI_Comm_free", rank));
  return MpiStatus(MPI_Finalize(), "MPI_Finalize", rank);
}

}  // namespace stowage
