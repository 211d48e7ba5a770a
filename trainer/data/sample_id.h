// Which sample, in which pass over the data. Apart from dataset.h so that the order of samples needs no tensors.
#ifndef STOWAGE_TRAINER_DATA_SAMPLE_ID_H_
#define STOWAGE_TRAINER_DATA_SAMPLE_ID_H_

#include <cstdint>

namespace stowage {

// Sample `index` as it is in pass `epoch` over the set (a text dataset shifts its windows from epoch to epoch).
struct SampleId {
  int64_t epoch = 0;
  int64_t index = 0;

  friend bool operator==(const SampleId& a, const SampleId& b) { return a.epoch == b.epoch && a.index == b.index; }
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_SAMPLE_ID_H_
