#include "sharding/end_together.h"

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "sharding/launcher_wake.h"
#include "sharding/peer_watch.h"

namespace stowage {
namespace {

// A process that has nothing left to do but to end takes less, except where its memory is being swapped in.
constexpr absl::Duration kPatience = absl::Seconds(10);

std::optional<int> FirstCode(const std::vector<std::string>& codes) {
  for (const std::string& text : codes) {
    int code = 0;
    if (!absl::SimpleAtoi(text, &code)) return std::nullopt;
    if (code != 0) return code;
  }
  return 0;
}

}  // namespace

int EndTogether(std::unique_ptr<Communicator> communicator, int code) {
  const absl::StatusOr<std::vector<std::string>> codes = communicator->ExchangeText(absl::StrCat(code));
  if (!codes.ok()) return code;
  const std::optional<int> agreed = FirstCode(*codes);
  if (!agreed.has_value() || *agreed == 0) return code;
  const absl::StatusOr<PeerWatch> peers = PeerWatch::Meet(*communicator);
  if (!peers.ok()) return code;
  const int rank = communicator->rank();
  communicator.reset();
  if (rank != 0) return 0;
  peers->WaitForEnd(kPatience);
  WakeLauncherAfterEnd(peers->peers());
  return *agreed;
}

}  // namespace stowage
