#include "trainer/run/same_config.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "trainer/config/load.h"

namespace stowage {

absl::Status CheckSameConfig(const Config& config, const std::string& options, Communicator& communicator,
                             const Registered& registered) {
  STOWAGE_ASSIGN_OR_RETURN(const std::vector<std::string> all_options, communicator.ExchangeText(options));
  STOWAGE_ASSIGN_OR_RETURN(const std::vector<std::string> all, communicator.ExchangeText(ConfigToYaml(config)));
  for (size_t rank = 1; rank < all.size(); ++rank) {
    if (all_options[rank] != all_options[0]) {
      return absl::InvalidArgumentError(absl::StrCat("ranks were started differently: rank 0 with ", all_options[0],
                                                     ", rank ", rank, " with ", all_options[rank]));
    }
    if (all[rank] == all[0]) continue;
    STOWAGE_ASSIGN_OR_RETURN(const Config first, ParseConfig(all[0], "rank 0", {}, registered));
    STOWAGE_ASSIGN_OR_RETURN(const Config other, ParseConfig(all[rank], absl::StrCat("rank ", rank), {}, registered));
    return absl::InvalidArgumentError(absl::StrCat(
        "ranks were started with different configs (here: rank 0, there: rank ", rank,
        "): ", absl::StrJoin(ConfigDifferences(first, other), "; "), ". Give every rank the same file and --set"));
  }
  return absl::OkStatus();
}

}  // namespace stowage
