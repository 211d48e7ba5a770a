// One thing that every communicator must do. For tests only.
#ifndef STOWAGE_SHARDING_COLLECTIVE_CASE_H_
#define STOWAGE_SHARDING_COLLECTIVE_CASE_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "sharding/communicator.h"

namespace stowage {

struct CollectiveCase {
  std::string name; // "ReduceScatterInPlace_F32_7": fit for a test's name
  // Collective. OK, or what this rank got that it should not have. Every rank
  // plays the case to its end.
  std::function<absl::Status(Communicator &)> run;
};

} // namespace stowage

#endif // STOWAGE_SHARDING_COLLECTIVE_CASE_H_
