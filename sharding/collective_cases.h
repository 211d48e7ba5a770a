// What every communicator must do, as cases that any of them can be put
// through: the in-process test plays them on threads, mpi_check plays the same
// ones under mpirun. For tests only.
//
// Values differ by rank and index and span 2^24 in size, so that a sum in
// another order gives other bits.
#ifndef STOWAGE_SHARDING_COLLECTIVE_CASES_H_
#define STOWAGE_SHARDING_COLLECTIVE_CASES_H_

#include <cstdint>
#include <vector>

#include "sharding/collective_case.h"

namespace stowage {

// `large_numel`: elements of the largest buffers; past the size of one message
// of the communicator under test.
std::vector<CollectiveCase> CollectiveCases(int64_t large_numel);

} // namespace stowage

#endif // STOWAGE_SHARDING_COLLECTIVE_CASES_H_
