// Prints what the calibration file found here predicts: "SOURCE NAME", then lines "LINE BYTES SOURCE".
//   predict_outside PRECISION RANKS THREADS SEGMENTS [M N K]   (m, n, k of the largest product)
#include <cstdio>
#include <cstdlib>

#include "absl/status/statusor.h"
#include "kernels/packing.h"
#include "trainer/calibration/find_machine.h"
#include "trainer/calibration/outside_model.h"

int main(int argc, char** argv) {
  if (argc != 5 && argc != 8) return 2;
  const absl::StatusOr<stowage::FoundMachine> machine = stowage::FindMachine("");
  if (!machine.ok()) {
    std::fprintf(stderr, "%s\n", machine.status().ToString().c_str());
    return 1;
  }
  const auto word = [](stowage::Source source) {
    return source == stowage::Source::kMeasured ? "measured" : "estimated";
  };
  std::printf("%s %s\n", word(machine->source), machine->name.c_str());
  stowage::OutsideQuery query;
  query.precision = argv[1];
  query.ranks_on_host = std::atoi(argv[2]);
  query.threads = std::atoi(argv[3]);
  query.segments = std::atoi(argv[4]);
  if (argc == 8) {
    query.product_bytes =
        stowage::kernels::PackingBytes(std::atoi(argv[5]), std::atoi(argv[6]), std::atoi(argv[7]), query.threads);
  }
  for (const stowage::OutsidePrediction& line : stowage::PredictOutside(*machine, query)) {
    std::printf("%s %lld %s\n", line.name.c_str(), static_cast<long long>(line.bytes), word(line.source));
  }
  return 0;
}
