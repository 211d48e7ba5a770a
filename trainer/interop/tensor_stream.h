// One tensor of a Hugging Face folder, streamed out of a checkpoint. Torch-free.
#ifndef STOWAGE_TRAINER_INTEROP_TENSOR_STREAM_H_
#define STOWAGE_TRAINER_INTEROP_TENSOR_STREAM_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "trainer/checkpoint/checkpoint_reader.h"
#include "trainer/interop/hf_layout.h"

namespace stowage {

// Hands the tensor's elements to `append`, in its row-major order there, piece by piece. Holds at most `chunk_numel`
// elements and a strip of 64 rows' parts beside them (never less than one column of a transposed tensor).
// Errors: CheckpointReader::Read, and what `append` returns.
absl::Status StreamTensor(const CheckpointReader& checkpoint, const HfTensor& tensor, int64_t chunk_numel,
                          const std::function<absl::Status(const float*, int64_t)>& append);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_INTEROP_TENSOR_STREAM_H_
