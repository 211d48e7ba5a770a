// A dataset of samples that are no tokens: images, vectors, sequences of vectors.
//
// An epoch is every sample once, in the Sampler's order; epochs do not differ.
#ifndef STOWAGE_TRAINER_DATA_SAMPLES_SAMPLE_DATASET_H_
#define STOWAGE_TRAINER_DATA_SAMPLES_SAMPLE_DATASET_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "trainer/data/dataset.h"
#include "trainer/data/samples/sample_source.h"

namespace stowage {

class SampleDataset : public Dataset {
 public:
  // Owns the source. `view` (data.view): the shape in which a sample's inputs are given, with as many elements as the
  // source's; empty: the source's own. InvalidArgument: another number of elements (both shapes named).
  static absl::StatusOr<std::unique_ptr<SampleDataset>> Create(std::unique_ptr<const SampleSource> source,
                                                               const std::vector<int64_t>& view);

  int64_t size() const override { return source_->size(); }

  // "inputs" float32 [n, shape().input...]; "targets" int64 [n] where they are classes, else float32
  // [n, shape().outputs]. loss_terms n. InvalidArgument: an index that is not in [0, size). Else as SampleSource::Read.
  absl::StatusOr<Batch> Read(absl::Span<const SampleId> samples) const override;

  DataShape shape() const override { return shape_; }
  std::string fingerprint() const override { return source_->fingerprint(); }

 private:
  SampleDataset(std::unique_ptr<const SampleSource> source, DataShape shape)
      : source_(std::move(source)), shape_(std::move(shape)) {}

  std::unique_ptr<const SampleSource> source_;
  DataShape shape_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_SAMPLES_SAMPLE_DATASET_H_
