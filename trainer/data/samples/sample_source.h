// Samples of one fixed shape that are no tokens: images, vectors, sequences of vectors, each with a class or with
// numbers to predict. The seam between file formats (idx, csv, safetensors) and SampleDataset; without tensors.
//
// Immutable once opened: reads are thread-safe.
#ifndef STOWAGE_TRAINER_DATA_SAMPLES_SAMPLE_SOURCE_H_
#define STOWAGE_TRAINER_DATA_SAMPLES_SAMPLE_SOURCE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "trainer/config/data_shape.h"

namespace stowage {

class SampleSource {
 public:
  virtual ~SampleSource() = default;

  virtual int64_t size() const = 0;  // samples; at least 1

  // input and outputs are filled in; `classes` says which kind of target there is.
  virtual const DataShape& shape() const = 0;

  // Sample `index`, in [0, size()): its inputs, row-major, to `input` ([product of shape().input]); its class to
  // `target_class` ([1]) if shape().classes, else its numbers to `target_numbers` ([shape().outputs]). The other
  // pointer may be null. DataLoss: a file changed since it was opened.
  virtual absl::Status Read(int64_t index, float* input, int64_t* target_class, float* target_numbers) const = 0;

  // Format, sizes and checksum of what is read; not paths.
  virtual std::string fingerprint() const = 0;

  // For messages: the file, or the first of them.
  virtual std::string description() const = 0;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_SAMPLES_SAMPLE_SOURCE_H_
