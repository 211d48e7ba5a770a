// A dataset of one's own: Fashion-MNIST (Debian's dataset-fashion-mnist) held in memory, pixels scaled to [-1, 1].
#ifndef STOWAGE_EXAMPLES_FASHION_DATA_H_
#define STOWAGE_EXAMPLES_FASHION_DATA_H_

#include <torch/torch.h>

#include <memory>
#include <string>

#include "stowage/dataset.h"

class FashionData : public stowage::Dataset {
 public:
  // `part`: train or t10k. Errors name the file.
  static absl::StatusOr<std::unique_ptr<stowage::Dataset>> Open(const std::string& folder, const std::string& part) {
    const auto images = stowage::ReadIdxFile(folder + "/" + part + "-images-idx3-ubyte.gz");
    if (!images.ok()) return images.status();
    const auto labels = stowage::ReadIdxFile(folder + "/" + part + "-labels-idx1-ubyte.gz");
    if (!labels.ok()) return labels.status();
    std::unique_ptr<FashionData> data(new FashionData);
    const auto bytes = [](const stowage::IdxArray& array) {
      return torch::from_blob(const_cast<uint8_t*>(array.elements.data()), array.shape, torch::kByte);
    };
    data->images_ = bytes(*images).unsqueeze(1).clone();
    data->labels_ = bytes(*labels).to(torch::kLong);
    return data;
  }

  int64_t size() const override { return labels_.size(0); }

  absl::StatusOr<stowage::Batch> Read(absl::Span<const stowage::SampleId> samples) const override {
    torch::Tensor rows = torch::empty({static_cast<int64_t>(samples.size())}, torch::kLong);
    for (size_t i = 0; i < samples.size(); ++i) rows.data_ptr<int64_t>()[i] = samples[i].index;
    stowage::Batch batch;
    batch.tensors["inputs"] = images_.index_select(0, rows).to(torch::kFloat).div_(127.5).sub_(1.0);
    batch.tensors["targets"] = labels_.index_select(0, rows);
    batch.samples = batch.loss_terms = static_cast<int64_t>(samples.size());
    return batch;
  }

  stowage::DataShape shape() const override { return {0, {1, 28, 28}, 10, true}; }
  std::string fingerprint() const override { return "fashion-mnist " + std::to_string(size()); }

 private:
  torch::Tensor images_;  // uint8 [n, 1, 28, 28]
  torch::Tensor labels_;  // int64 [n]
};

// Both parts, as Debian installs them.
inline absl::StatusOr<stowage::Data> OpenFashionData(const stowage::DataConfig& config) {
  const std::string folder = config.train.empty() ? "/usr/share/datasets/fashion-mnist" : config.train[0];
  stowage::Data data;
  for (auto& [part, to] : {std::pair{"train", &data.train}, std::pair{"t10k", &data.validation}}) {
    auto opened = FashionData::Open(folder, part);
    if (!opened.ok()) return opened.status();
    *to = *std::move(opened);
  }
  return data;
}

#endif  // STOWAGE_EXAMPLES_FASHION_DATA_H_
