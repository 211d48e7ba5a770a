#include "trainer/data/samples/idx_source.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/status_macros.h"

namespace stowage {

absl::StatusOr<std::unique_ptr<IdxSource>> IdxSource::Open(const std::string& images, const std::string& labels,
                                                           int64_t known_classes) {
  STOWAGE_ASSIGN_OR_RETURN(IdxArray image_array, ReadIdxFile(images));
  STOWAGE_ASSIGN_OR_RETURN(IdxArray label_array, ReadIdxFile(labels));
  const std::vector<int64_t>& shape = image_array.shape;
  if (shape.size() < 2 || label_array.shape.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        images, " has ", shape.size(), " and ", labels, " ", label_array.shape.size(),
        " dimensions; images have 2 to 4, labels 1. Give the images first, then the labels: [images, labels]"));
  }
  if (shape[0] != label_array.shape[0]) {
    return absl::InvalidArgumentError(absl::StrCat(images, " holds ", shape[0], " images, ", labels, " ",
                                                   label_array.shape[0], " labels; they do not belong together"));
  }
  std::unique_ptr<IdxSource> source(new IdxSource());
  source->path_ = images;
  if (shape.size() == 3) source->shape_.input.push_back(1);
  source->shape_.input.insert(source->shape_.input.end(), shape.begin() + 1, shape.end());
  source->pixels_ = std::move(image_array.elements);
  source->labels_ = std::move(label_array.elements);
  source->sample_bytes_ = static_cast<int64_t>(source->pixels_.size()) / shape[0];

  const auto largest = std::max_element(source->labels_.begin(), source->labels_.end());
  if (known_classes > 0 && *largest >= known_classes) {
    return absl::InvalidArgumentError(
        absl::StrCat(labels, ": label ", *largest, " at position ", largest - source->labels_.begin(),
                     " is out of range: the training set has the classes 0 to ", known_classes - 1));
  }
  source->shape_.classes = true;
  source->shape_.outputs = known_classes > 0 ? known_classes : *largest + 1;
  const auto crc = [](const std::vector<uint8_t>& bytes) {
    return absl::Hex(ExtendCrc32c(0, bytes.data(), static_cast<int64_t>(bytes.size())), absl::kZeroPad8);
  };
  source->fingerprint_ =
      absl::StrCat("idx:", absl::StrJoin(shape, "x"), ":", crc(source->pixels_), ":", crc(source->labels_));
  return source;
}

absl::Status IdxSource::Read(int64_t index, float* input, int64_t* target_class, float*) const {
  STOWAGE_CHECK(index >= 0 && index < size()) << index << " of " << size();
  const uint8_t* pixels = pixels_.data() + index * sample_bytes_;
  std::transform(pixels, pixels + sample_bytes_, input,
                 [](uint8_t pixel) { return static_cast<float>(pixel) / 255.0f; });
  *target_class = labels_[index];
  return absl::OkStatus();
}

}  // namespace stowage
