// Samples from one safetensors file with two tensors, read by ranges: the file may be larger than memory.
//
//   "inputs"   [n, ...] F32 or F64           vectors [n, features], sequences [n, time, features], images
//                                            [n, channels, height, width], or any other shape
//   "targets"  [n] I64, I32 or U8: classes from 0 on; or [n] or [n, outputs] F32 or F64: numbers to predict
//
// Other tensors in the file are passed over. Numbers are used as float32, and must be finite.
#ifndef STOWAGE_TRAINER_DATA_SAMPLES_SAFETENSORS_SOURCE_H_
#define STOWAGE_TRAINER_DATA_SAMPLES_SAFETENSORS_SOURCE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/dtype.h"
#include "trainer/checkpoint/safetensors.h"
#include "trainer/data/samples/sample_source.h"

namespace stowage {

class SafetensorsSource : public SampleSource {
 public:
  // Checksums cover the whole file up to this size, beyond it the header and the first and last MiB of each tensor: a
  // larger file would take too long at each start.
  static constexpr int64_t kCheckedBytes = int64_t{256} << 20;
  static constexpr int64_t kMostClasses = int64_t{1} << 24;  // as model.outputs

  // Class targets are gone through: classes are 0 to the largest, or 0 to known_classes - 1 if that is above 0.
  // DataLoss: no whole safetensors file. InvalidArgument: a tensor is missing (those there are named), or has a dtype
  // or shape that is not as above; counts differ; a class out of range (its position and value).
  static absl::StatusOr<std::unique_ptr<SafetensorsSource>> Open(const std::string& path, int64_t known_classes);

  int64_t size() const override { return size_; }
  const DataShape& shape() const override { return shape_; }
  // InvalidArgument besides: a number that is not finite (tensor, sample).
  absl::Status Read(int64_t index, float* input, int64_t* target_class, float* target_numbers) const override;
  std::string fingerprint() const override { return fingerprint_; }
  std::string description() const override { return path_; }

 private:
  SafetensorsSource(std::string path, SafetensorsReader reader) : path_(std::move(path)), reader_(std::move(reader)) {}

  absl::Status CheckTensors();
  absl::Status FindClasses(int64_t known_classes);
  absl::Status Fingerprint();
  // Elements [first, first + count) of a tensor of floats as float32.
  absl::Status ReadNumbers(const char* tensor, int64_t first, int64_t count, float* to) const;
  absl::Status ReadClasses(int64_t first, int64_t count, int64_t* to) const;

  std::string path_;
  SafetensorsReader reader_;
  int64_t size_ = 0;
  DataShape shape_;
  int64_t input_numel_ = 1;  // of one sample
  DType input_dtype_ = DType::kFloat32;
  DType target_dtype_ = DType::kFloat32;
  std::string fingerprint_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_SAMPLES_SAFETENSORS_SOURCE_H_
