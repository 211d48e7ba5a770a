// Cases of what moves without arithmetic: uneven all_gather, all_to_all,
// messages between pairs. For tests only.
#ifndef STOWAGE_SHARDING_EXCHANGE_CASES_H_
#define STOWAGE_SHARDING_EXCHANGE_CASES_H_

#include <cstdint>
#include <vector>

#include "sharding/collective_case.h"

namespace stowage {

// With buffers of about `numel` elements.
void AddExchangeCases(int64_t numel, std::vector<CollectiveCase> &cases);

} // namespace stowage

#endif // STOWAGE_SHARDING_EXCHANGE_CASES_H_
