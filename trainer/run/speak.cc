#include "trainer/run/speak.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/str_replace.h"

namespace stowage {

bool IsFirstRank() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"}) {
    if (const char* rank = std::getenv(name)) return std::strcmp(rank, "0") == 0;
  }
  return true;
}

void Complain(absl::string_view message) {
  std::fflush(stdout);  // what was said before stands before
  const std::string line = absl::StrReplaceAll(message, {{"\n", " "}});
  std::fprintf(stderr, "stowage: %s\n", line.c_str());
}

}  // namespace stowage
