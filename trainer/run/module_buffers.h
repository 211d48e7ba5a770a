// The buffers of a model's modules (BatchNorm's running statistics): what a checkpoint holds of them, and how ranks
// that saw different samples come to the same ones.
#ifndef STOWAGE_TRAINER_RUN_MODULE_BUFFERS_H_
#define STOWAGE_TRAINER_RUN_MODULE_BUFFERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/dtype.h"
#include "sharding/communicator.h"
#include "trainer/model/segment.h"

namespace stowage {

// Borrows the module's bytes: good until the module runs again.
struct ModuleBuffer {
  std::string name;
  DType dtype = DType::kFloat32;  // kFloat32, kFloat64 or kInt64
  std::vector<int64_t> shape;
  int64_t numel = 0;
  void* data = nullptr;
};

// In segment order. A buffer that is not contiguous, or of another element type than above, is a bug of the segment
// that declared it.
std::vector<ModuleBuffer> BuffersOf(const Model& model);

// Floating buffers become their mean over ranks, whole numbers the largest of all ranks. Before evaluation and save: in
// between each rank's are its own. Nothing is to be done on one rank. Collective.
absl::Status AverageBuffers(const Model& model, Communicator& communicator);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_MODULE_BUFFERS_H_
