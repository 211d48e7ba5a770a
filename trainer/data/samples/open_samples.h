// The `data:` section's samples, where these are no tokens, as sources that are open and checked. Without tensors;
// open_data.h makes datasets of them.
#ifndef STOWAGE_TRAINER_DATA_SAMPLES_OPEN_SAMPLES_H_
#define STOWAGE_TRAINER_DATA_SAMPLES_OPEN_SAMPLES_H_

#include <memory>

#include "absl/status/statusor.h"
#include "trainer/config/config.h"
#include "trainer/data/samples/sample_source.h"

namespace stowage {

struct OpenedSamples {
  std::unique_ptr<const SampleSource> train;
  std::unique_ptr<const SampleSource> validation;  // null if there is none
};

// Whether the section names samples that are no tokens: built-in images, or files of such a format.
// InvalidArgument: some of its files do and some do not. NotFound and the like: a file.
absl::StatusOr<bool> NamesSamples(const DataConfig& config);

// Opens them. With no validation files the last floor(validation_fraction * n) of the n samples are split off, in the
// order of the file. InvalidArgument, DataLoss, NotFound, FailedPrecondition: what was asked, found, and what to
// change.
absl::StatusOr<OpenedSamples> OpenSamples(const DataConfig& config);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_SAMPLES_OPEN_SAMPLES_H_
