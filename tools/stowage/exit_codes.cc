#include "tools/stowage/exit_codes.h"

#include "absl/strings/str_format.h"

namespace stowage {

std::vector<ExitCodeMeaning> ExitCodeMeanings() {
  return {
      {kExitOk, "done"},
      {kExitFailure, "failed: data, files, memory or a peer; the message says which"},
      {kExitUsage, "the command line or the config is wrong; nothing was started"},
      {kExitDoesNotFit, "the plan does not fit the memory budget; nothing was started"},
      {kExitStoppedAndSaved, "stopped by a signal after saving; go on with --resume"},
  };
}

std::string ExitCodesFooter() {
  std::string footer = "Exit codes:\n";
  for (const ExitCodeMeaning& meaning : ExitCodeMeanings()) {
    absl::StrAppendFormat(&footer, "  %2d  %s\n", meaning.code, meaning.meaning);
  }
  return footer;
}

}  // namespace stowage
