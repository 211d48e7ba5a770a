// Some of the samples of a source: how a validation part is split off one file.
#ifndef STOWAGE_TRAINER_DATA_SAMPLES_SAMPLE_RANGE_H_
#define STOWAGE_TRAINER_DATA_SAMPLES_SAMPLE_RANGE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "trainer/data/samples/sample_source.h"

namespace stowage {

class SampleRange : public SampleSource {
 public:
  // Samples [first, first + count) of `whole`. Shared, because the training and the validation part of one file are
  // two datasets, and either may outlive the other.
  SampleRange(std::shared_ptr<const SampleSource> whole, int64_t first, int64_t count)
      : whole_(std::move(whole)), first_(first), count_(count) {
    STOWAGE_CHECK(first >= 0 && count >= 1 && first + count <= whole_->size()) << first << " + " << count;
  }

  int64_t size() const override { return count_; }
  const DataShape& shape() const override { return whole_->shape(); }
  absl::Status Read(int64_t index, float* input, int64_t* target_class, float* target_numbers) const override {
    STOWAGE_CHECK(index >= 0 && index < count_) << index << " of " << count_;
    return whole_->Read(first_ + index, input, target_class, target_numbers);
  }
  std::string fingerprint() const override {
    return absl::StrCat(whole_->fingerprint(), "[", first_, "+", count_, "]");
  }
  std::string description() const override { return whole_->description(); }

 private:
  std::shared_ptr<const SampleSource> whole_;
  int64_t first_;
  int64_t count_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_SAMPLES_SAMPLE_RANGE_H_
