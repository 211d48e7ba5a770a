#include "sharding/mpi_exchange.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "sharding/collective_request.h"

namespace stowage {
namespace {

// Below 32767 in all, which every MPI allows.
constexpr int kKinds = 8;
constexpr int kSequences = 4000;

}  // namespace

MpiExchange::MpiExchange(MPI_Comm comm, MpiWaiter& waiter, int rank, int kind, int64_t sequence, std::string during)
    : comm_(comm),
      waiter_(waiter),
      rank_(rank),
      tag_(static_cast<int>(sequence % kSequences) * kKinds + kind),
      during_(std::move(during)) {
  STOWAGE_CHECK(kind >= 0 && kind < kKinds) << kind;
}

absl::Status MpiExchange::Receive(void* data, int64_t bytes, int from) {
  STOWAGE_CHECK(bytes >= 0 && bytes <= kMaxBytes) << bytes;
  if (bytes == 0) return absl::OkStatus();
  MPI_Request request;
  const int result = MPI_Irecv(data, static_cast<int>(bytes), MPI_BYTE, from, MPI_ANY_TAG, comm_, &request);
  STOWAGE_RETURN_IF_ERROR(MpiStatus(result, "MPI_Irecv", rank_, during_));
  receives_.push_back(request);
  expected_.push_back({from, bytes});
  return absl::OkStatus();
}

absl::Status MpiExchange::Send(const void* data, int64_t bytes, int to) {
  STOWAGE_CHECK(bytes >= 0 && bytes <= kMaxBytes) << bytes;
  if (bytes == 0) return absl::OkStatus();
  MPI_Request request;
  const int result = MPI_Isend(data, static_cast<int>(bytes), MPI_BYTE, to, tag_, comm_, &request);
  STOWAGE_RETURN_IF_ERROR(MpiStatus(result, "MPI_Isend", rank_, during_));
  sends_.push_back(request);
  return absl::OkStatus();
}

absl::Status MpiExchange::Finish() {
  // Receives first: a peer in another call may never take what we send, but what it sent us tells why.
  std::vector<MPI_Status> statuses;
  STOWAGE_RETURN_IF_ERROR(waiter_.WaitAll(receives_, rank_, during_, &statuses));
  for (size_t i = 0; i < statuses.size(); ++i) STOWAGE_RETURN_IF_ERROR(CheckReceived(statuses[i], expected_[i]));
  STOWAGE_RETURN_IF_ERROR(waiter_.WaitAll(sends_, rank_, during_));
  receives_.clear();
  expected_.clear();
  sends_.clear();
  return absl::OkStatus();
}

absl::Status MpiExchange::CheckReceived(const MPI_Status& status, const Expected& expected) const {
  if (status.MPI_TAG != tag_) {
    return absl::InvalidArgumentError(
        absl::StrCat("ranks disagree on what to do: rank ", rank_, " calls ", during_, ", rank ", expected.from,
                     " calls ", CollectiveName(static_cast<CollectiveKind>(status.MPI_TAG % kKinds)), " (call ",
                     tag_ / kKinds, " here, ", status.MPI_TAG / kKinds, " there, modulo ", kSequences, ")"));
  }
  int bytes = 0;
  STOWAGE_RETURN_IF_ERROR(MpiStatus(MPI_Get_count(&status, MPI_BYTE, &bytes), "MPI_Get_count", rank_, during_));
  if (bytes == expected.bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("ranks disagree on a size: rank ", rank_, " calls ", during_,
                                                 " and expects ", expected.bytes, " bytes of rank ", expected.from,
                                                 ", which sent ", bytes));
}

}  // namespace stowage
