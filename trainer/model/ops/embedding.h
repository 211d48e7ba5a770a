// Token embedding, with learned positions or without, whose gradients are scattered straight into the gradient buffers.
//
// torch's embedding makes a dense gradient of the whole vocabulary per micro-batch (zeros, then a scatter, then an
// addition to the buffer). Here only the rows that occurred are touched once the buffer has been written.
#ifndef STOWAGE_TRAINER_MODEL_OPS_EMBEDDING_H_
#define STOWAGE_TRAINER_MODEL_OPS_EMBEDDING_H_

#include <ATen/core/Tensor.h>

#include "trainer/model/parameter.h"

namespace stowage::ops {

// tokens int64 [n, t], token [vocabulary, width], position [>= t, width] or null -> [n, t, width] in `dtype` (fp32 or
// bf16). The parameters are fp32 or of `dtype`: rows are rounded to it first, then added, so fp32 parameters give the
// bits of copies of them in `dtype`. Gradients are summed in fp32.
// Contributions to a row are added in the order of the tokens: the same bits with any number of threads.
at::Tensor Embedding(const at::Tensor& tokens, const Parameter& token, const Parameter* position, at::ScalarType dtype);

}  // namespace stowage::ops

#endif  // STOWAGE_TRAINER_MODEL_OPS_EMBEDDING_H_
