// The `stowage` command with a source of blocks that refuses one allocation. For allocation_failure_test.py.
//
// STOWAGE_TEST_REFUSE="RANK READ NTH WHICH": on rank RANK, the NTH allocation after the READ-th micro-batch was asked for
// (both from 1; READ 0: never) is refused; WHICH is `one`, or `all` for those after it as well. For a config with
// `data: {source: made_up}`.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <string>

#include "memory/counting_allocator.h"
#include "memory/failing_source.h"
#include "stowage/stowage.h"
#include "tests/memory/made_up_tokens.h"

namespace {

struct Refusal {
  int rank = 0;
  int64_t read = 0, nth = 0;
  std::string which;
};

Refusal AskedFor() {
  const char* text = std::getenv("STOWAGE_TEST_REFUSE");
  Refusal refusal;
  std::istringstream words(text == nullptr ? "" : text);
  if (!(words >> refusal.rank >> refusal.read >> refusal.nth >> refusal.which)) {
    std::fprintf(stderr, "STOWAGE_TEST_REFUSE must be RANK READ NTH WHICH\n");
    std::exit(2);
  }
  return refusal;
}

int Rank() {
  const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
  return rank == nullptr ? 0 : std::atoi(rank);
}

absl::StatusOr<stowage::Data> OpenMadeUp(const stowage::DataConfig&) {
  const Refusal refusal = AskedFor();
  stowage::Data data;
  data.train = std::make_unique<stowage::MadeUpTokens>(/*context=*/12, [refusal](int64_t reads_before) {
    if (Rank() != refusal.rank || reads_before + 1 != refusal.read) return;
    static auto* const source = new stowage::FailingSource(stowage::InstalledPool());
    stowage::SetBlockSource(source);
    source->Arm({refusal.nth, /*all_from_nth=*/refusal.which == "all"});
  });
  return data;
}

}  // namespace

int main(int argc, char** argv) { return stowage::Main(argc, argv, {}, {{"made_up", OpenMadeUp}}); }
