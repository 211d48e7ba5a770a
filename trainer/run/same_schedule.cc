#include "trainer/run/same_schedule.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "trainer/schedule/collectives.h"

namespace stowage {

absl::Status CheckSameSchedule(const Schedule& schedule, const ModelShape& model,
                               const std::vector<int64_t>& group_numel, Communicator& communicator) {
  const std::string mine = CollectivesText(schedule, model, group_numel);
  // Lists of a thousand groups on a thousand ranks would be tens of megabytes on each.
  STOWAGE_ASSIGN_OR_RETURN(const std::vector<std::string> hashes,
                           communicator.ExchangeText(absl::StrCat(absl::Hex(HashName(mine)))));
  const auto differs = [&](const std::string& hash) { return hash != hashes[0]; };
  if (std::none_of(hashes.begin(), hashes.end(), differs)) return absl::OkStatus();
  STOWAGE_ASSIGN_OR_RETURN(const std::vector<std::string> lists, communicator.ExchangeText(mine));
  return VerifySameCollectives(lists);
}

}  // namespace stowage
