// The bytes that a run will hold besides tensors and their pool, from what small trainings on the machine held.
//
// What is the same in every run of a kind is taken as it was measured; what grows with the run is added by rule (the
// numbers in the .cc, each with its measurement). All rules round up: what is predicted is meant never to lie below
// what a run holds, on a machine that does nothing odd.
#ifndef STOWAGE_TRAINER_CALIBRATION_OUTSIDE_MODEL_H_
#define STOWAGE_TRAINER_CALIBRATION_OUTSIDE_MODEL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/calibration/find_machine.h"
#include "trainer/plan/prediction.h"

namespace stowage {

// What a rehearsal knows of the run. Bytes.
struct OutsideQuery {
  bool recurrent = false;  // model.kind rnn
  std::string precision;   // "fp32", "bf16"
  int ranks_on_host = 1;
  bool launched = false;         // under mpirun or srun: MPI, also with one rank here
  int threads = 1;               // of a rank
  int64_t segments = 0;          // of the model: each leaves some autograd nodes in the heap
  int64_t cell_steps = 0;        // rnn: model.layers times the steps of a sequence: autograd nodes of each
  int64_t part_bytes = 0;        // several ranks: the largest part of a group's gradients that one rank sums up
  int64_t product_bytes = 0;     // kernels::LargestPackingBytes() of the rehearsal
  int64_t data_heap_bytes = 0;   // HeapBytes::in_use that opening the data added,
  int64_t data_taken_bytes = 0;  // and HeapBytes::taken
};

// Lines as in report.json, without those of the pool and of windows (the rehearsal has them); those of 0 bytes are left
// out, and the last one is "margin". Source: the machine's, or kEstimated where no case like the query was measured.
std::vector<OutsidePrediction> PredictOutside(const FoundMachine& machine, const OutsideQuery& query);

// The sum.
int64_t TotalBytes(const std::vector<OutsidePrediction>& lines);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CALIBRATION_OUTSIDE_MODEL_H_
