// The tensors of a Hugging Face folder: model.safetensors, or the files that model.safetensors.index.json lists.
//
// Headers are checked whole before anything is believed; contents are read by ranges. Torch-free. Const methods are
// thread-safe.
#ifndef STOWAGE_TRAINER_INTEROP_HF_WEIGHTS_H_
#define STOWAGE_TRAINER_INTEROP_HF_WEIGHTS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/dtype.h"
#include "trainer/checkpoint/safetensors.h"

namespace stowage {

class HfWeights {
 public:
  struct Tensor {
    DType dtype = DType::kFloat32;
    std::vector<int64_t> shape;
    size_t file = 0;
  };

  // NotFound: neither file is there, or a file that the index names is not. DataLoss: a file is cut short, its header
  // lies about its size, the index is not JSON or names a tensor that is not in the file.
  static absl::StatusOr<HfWeights> Open(const std::string& folder);

  const std::string& folder() const { return folder_; }
  const std::map<std::string, Tensor>& tensors() const { return tensors_; }

  // F32, BF16 and F16.
  static bool CanRead(DType dtype) {
    return dtype == DType::kFloat32 || dtype == DType::kBFloat16 || dtype == DType::kFloat16;
  }

  // Elements [first, first + numel) of tensor `name` as fp32; every dtype that CanRead converts exactly.
  // NotFound: no such tensor. InvalidArgument: another dtype. OutOfRange: fewer elements.
  absl::Status ReadFloats(const std::string& name, int64_t first, int64_t numel, float* to) const;

 private:
  absl::Status AddFile(const std::string& name);
  std::string folder_;
  std::vector<SafetensorsReader> files_;
  std::map<std::string, Tensor> tensors_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_INTEROP_HF_WEIGHTS_H_
