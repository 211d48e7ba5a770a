// What one micro-batch feeds the model: tensors by name.
//
// A language model's batch has "tokens" and "targets", both int64 [sequences, context]; targets hold -100 where
// no loss is due. Other datasets name their own. A batch with no samples (`samples` 0) is a null micro-batch.
#ifndef STOWAGE_TRAINER_DATA_BATCH_H_
#define STOWAGE_TRAINER_DATA_BATCH_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>

namespace stowage {

struct Batch {
  std::map<std::string, at::Tensor> tensors;
  int64_t samples = 0;
  int64_t loss_terms = 0;  // how many terms the summed loss has (tokens with a target, images, ...)

  // The tensor of that name; a bug if the dataset did not make one.
  const at::Tensor& at(const std::string& name) const { return tensors.at(name); }
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_BATCH_H_
