// Which samples a step sees: a pure function of (seed, step, index in the global batch).
//
// The same for every world size, every micro-batch size and after every resume; there is no state to save. Each
// epoch is a permutation of the dataset keyed by (seed, epoch), computed element by element (a Feistel network
// with cycle walking: Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002), so a set of any
// size costs no memory. Thread-safe.
#ifndef STOWAGE_TRAINER_DATA_SAMPLER_H_
#define STOWAGE_TRAINER_DATA_SAMPLER_H_

#include <cstdint>
#include <vector>

#include "trainer/data/sample_id.h"

namespace stowage {

// Position `i` of a permutation of [0, n) under `key`. n >= 1, 0 <= i < n. docs/data.md has the algorithm word by
// word: other programs compute the same order, and stored runs depend on it. Never change it.
int64_t PermutedIndex(uint64_t key, int64_t n, int64_t i);

class Sampler {
 public:
  // dataset_size and global_batch at least 1. `flush_epochs`: each epoch ends with one smaller step of what is left
  // (train.epochs); otherwise steps run on over the epoch's end (train.steps).
  Sampler(uint64_t seed, int64_t dataset_size, int64_t global_batch, bool flush_epochs);

  // The global batch of step `step` (0 for the first), in order. global_batch long, or less at a flushed epoch's end.
  std::vector<SampleId> GlobalBatch(int64_t step) const;

  // Steps of one epoch when epochs are flushed (the last one may be smaller).
  int64_t steps_per_epoch() const;

 private:
  uint64_t seed_;
  int64_t dataset_size_;
  int64_t global_batch_;
  bool flush_epochs_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_SAMPLER_H_
