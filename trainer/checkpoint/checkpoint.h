// Saved states of a training run: written aside, checked, renamed; never half there.
//
//   checkpoints/step-00000200/
//     manifest.json            format version, step, what a resume must match, and for each logical tensor its
//                              dtype, shape, files and byte ranges, with sizes and CRC-32C of every file
//     rank-00000.safetensors   tensors; data starts at 64 bytes (see safetensors.h)
//     config.yaml              the resolved experiment
//     plan.json                the plan, if there is one
//     tokenizer.model          what turns text into the model's tokens, if that is not said by its name
//
// A logical tensor is a parameter ("layer.3.attn.qkv.weight") or its optimizer state ("optimizer.exp_avg.<parameter>").
// Readers assemble it from ranges, so the way it was cut over ranks does not matter to them. The .safetensors files
// also open in the format's own reader: a whole tensor has its own name and shape there, a piece is named
// "<tensor>@<first element>" and has one dimension. docs/checkpoints.md says more.
//
// A save that fails (a full disk, say) leaves the older checkpoints whole and no folder that looks complete.
// Ranks on several hosts need a file system that all of them see. Not thread-safe. Torch-free: it moves bytes.
#ifndef STOWAGE_TRAINER_CHECKPOINT_CHECKPOINT_H_
#define STOWAGE_TRAINER_CHECKPOINT_CHECKPOINT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/dtype.h"
#include "sharding/communicator.h"
#include "trainer/checkpoint/checkpoint_reader.h"
#include "trainer/checkpoint/manifest.h"

namespace stowage {

// One contiguous piece of a logical tensor that this rank writes. `data` is borrowed for the call.
struct TensorPiece {
  std::string name;  // logical tensor; no '@' in it
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;  // of the whole logical tensor
  int64_t first_element = 0;   // row-major position of this piece
  int64_t numel = 0;           // of this piece; a whole tensor: the product of `shape`
  const void* data = nullptr;
};

// Writes the pieces of all ranks as checkpoint `info.step` of `folder` (made if missing) and keeps the newest
// `keep` (>= 1) complete ones. Collective: all ranks call it and all get the same status; info counts on rank 0.
// Returns the finished checkpoint's path once all of it is on disk. An existing checkpoint of that step is replaced
// when the new one is whole. Afterwards rank 0 removes older checkpoints and what a crash left behind; what it could
// not remove is one line each in `said` (if given) and not an error: the state is saved.
// InvalidArgument: pieces that overlap, leave holes, or differ in shape between ranks. ResourceExhausted: disk full.
absl::StatusOr<std::string> SaveCheckpoint(Communicator& communicator, const std::string& folder,
                                           const CheckpointInfo& info, const std::vector<TensorPiece>& pieces,
                                           int64_t keep, std::vector<std::string>* said = nullptr);

// The newest checkpoint of `folder` that is complete and passes Verify. Of each damaged one it passes over, one
// line is added to `said`. NotFound: none is left. FailedPrecondition: the newest was written in another format
// version; it is not damaged, and going on from an older one would throw its steps away.
absl::StatusOr<CheckpointReader> OpenNewest(const std::string& folder, std::vector<std::string>* said);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CHECKPOINT_CHECKPOINT_H_
