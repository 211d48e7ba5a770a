// Images with labels from two IDX files, as MNIST and Fashion-MNIST come: samples are images, targets classes.
#ifndef STOWAGE_TRAINER_DATA_SAMPLES_IDX_SOURCE_H_
#define STOWAGE_TRAINER_DATA_SAMPLES_IDX_SOURCE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "trainer/data/samples/idx_file.h"
#include "trainer/data/samples/sample_source.h"

namespace stowage {

class IdxSource : public SampleSource {
 public:
  // Reads both files whole. `images` [n, height, width] gives samples [1, height, width]; [n, channels, height, width]
  // and [n, features] give samples of the rest. `labels` is [n]; classes are 0 to its largest label, or 0 to
  // known_classes - 1 if that is above 0 (a validation set cannot have classes that training does not know).
  // InvalidArgument: shapes that do not belong together (both named), a label that is out of range (its position and
  // value). Else as ReadIdxFile.
  static absl::StatusOr<std::unique_ptr<IdxSource>> Open(const std::string& images, const std::string& labels,
                                                         int64_t known_classes);

  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }
  const DataShape& shape() const override { return shape_; }

  // Pixels become pixel / 255, from 0 to 1.
  absl::Status Read(int64_t index, float* input, int64_t* target_class, float* target_numbers) const override;

  std::string fingerprint() const override { return fingerprint_; }
  std::string description() const override { return path_; }

 private:
  IdxSource() = default;
  std::string path_;
  DataShape shape_;
  int64_t sample_bytes_ = 0;
  std::vector<uint8_t> pixels_;  // [n * sample_bytes_]
  std::vector<uint8_t> labels_;  // [n]
  std::string fingerprint_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_SAMPLES_IDX_SOURCE_H_
