// What ranks decide together once a step, inside one exchange: `agree`.
//
// Every rank brings its words; every rank leaves with the same verdict, computed from all words in rank order,
// so it is the same to the bit. Nothing that changes the course of training is decided anywhere else.
//
// Collective: all ranks call it at the same place of the schedule. Blocks. Not thread-safe.
#ifndef STOWAGE_SHARDING_AGREEMENT_H_
#define STOWAGE_SHARDING_AGREEMENT_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sharding/communicator.h"

namespace stowage {

// A shortage of memory names its largest holders: some lines.
inline constexpr int kTroubleBytes = 4000;

struct AgreementWords {
  double loss_sum = 0.0;        // over this rank's tokens
  int64_t tokens = 0;           // that count in the loss
  int64_t judged = 0;           // samples whose class was predicted (evaluation of a model of classes)
  int64_t correct = 0;          // of them, predicted right
  double sum_of_squares = 0.0;  // of this rank's shards of the summed gradients, fp64
  int64_t non_finite = 0;       // elements that are not finite in this rank's shards
  int64_t stop_signal = 0;      // number of the signal this rank received, 0 if none
  int64_t save_wanted = 0;      // 1 if this rank's clock says a timed checkpoint is due (rank 0's counts)
  absl::Status trouble;         // why this rank could not do its part; OK if it could. Cut at kTroubleBytes
};

struct AgreementVerdict {
  double loss_sum = 0.0;
  int64_t tokens = 0;
  int64_t judged = 0;
  int64_t correct = 0;
  double sum_of_squares = 0.0;
  int64_t non_finite = 0;
  int64_t stop_signal = 0;   // the highest that any rank received
  bool save_wanted = false;  // rank 0's word
  int trouble_rank = -1;     // the lowest rank in trouble, -1 if none
  absl::Status trouble;      // its own
};

absl::StatusOr<AgreementVerdict> Agree(Communicator& communicator, const AgreementWords& mine);

// For what happens outside a step (start-up, opening files, saving): the first rank's error, in rank order, becomes
// the status of all ranks ("rank 2: ..."; with one rank, its own as it is); OK if all were OK. Collective. Blocks.
absl::Status AgreeOnStatus(Communicator& communicator, const absl::Status& mine);

}  // namespace stowage

#endif  // STOWAGE_SHARDING_AGREEMENT_H_
