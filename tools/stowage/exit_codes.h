// What each exit code means, in words: --help shows it, docs/exit_codes.md is compared with it.
#ifndef STOWAGE_TOOLS_STOWAGE_EXIT_CODES_H_
#define STOWAGE_TOOLS_STOWAGE_EXIT_CODES_H_

#include <string>
#include <vector>

#include "base/exit_code.h"

namespace stowage {

struct ExitCodeMeaning {
  ExitCode code;
  const char* meaning;
};

std::vector<ExitCodeMeaning> ExitCodeMeanings();

// For the end of a help text.
std::string ExitCodesFooter();

}  // namespace stowage

#endif  // STOWAGE_TOOLS_STOWAGE_EXIT_CODES_H_
