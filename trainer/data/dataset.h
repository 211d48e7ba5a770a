// A finite set of samples that can be read in any order. The seam for other people's data.
//
// Implementations are read by one thread at a time. Reading does not change what later reads return: which sample
// goes where is decided by the Sampler, never by the dataset.
#ifndef STOWAGE_TRAINER_DATA_DATASET_H_
#define STOWAGE_TRAINER_DATA_DATASET_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "trainer/config/data_shape.h"
#include "trainer/data/batch.h"
#include "trainer/data/sample_id.h"

namespace stowage {

class Dataset {
 public:
  virtual ~Dataset() = default;

  // Samples in one epoch; at least 1. The same for every epoch.
  virtual int64_t size() const = 0;

  // Reads those samples into one batch, in that order; no samples make a null micro-batch, whose tensors have the
  // same names and 0 in the first dimension. New CPU tensors, the caller's. DataLoss or InvalidArgument name the file
  // and offset.
  virtual absl::StatusOr<Batch> Read(absl::Span<const SampleId> samples) const = 0;

  // For every "auto" of the model that the data decides.
  virtual DataShape shape() const = 0;

  // Bytes of text that a target stands for, on average; 0: not text, or not known. A loss in nats per token, divided by
  // this, is one in nats per byte, which can be compared between tokenizers.
  virtual double text_bytes_per_target() const { return 0.0; }

  // What identifies this data for a resume: format, files' sizes and checksums. Not paths.
  virtual std::string fingerprint() const = 0;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_DATASET_H_
