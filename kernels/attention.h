// Attention that never holds a matrix of t_q * t_k scores: out = softmax(scale * q k^T + mask) v, by tiles of queries
// and of keys, and its gradients.
//
// Forward keeps, for each query, the running maximum of its scores and the running sum of their exponentials, and
// rescales what it has summed when the maximum grows (Rabe & Staats, arXiv:2112.05682; Milakov & Gimelshein,
// arXiv:1805.02867). All that backward needs of it is the logarithm of that sum, from which it computes each tile's
// probabilities again (Dao, "FlashAttention-2", arXiv:2307.08691, section 3.1). Memory: O(t * head_dim) per worker.
//
// Arithmetic is fp32 whatever the tensors are (fp32, or bf16 that is widened as a tile is read and rounded once as a
// result is written). The products are our own and may fuse multiply and add, so bits differ between kinds of vector
// unit. On one kind they do not depend on the number of workers: every output element is summed by one worker in one
// order.
//
// Splits over the calling thread's OpenMP team (kernels/parallel.h). Thread-safe.
#ifndef STOWAGE_KERNELS_ATTENTION_H_
#define STOWAGE_KERNELS_ATTENTION_H_

#include <cstdint>

#include "base/dtype.h"

namespace stowage::kernels {

// The upper bound of a tile's sides where the caller names none.
inline constexpr int64_t kAttentionChunk = 512;

struct AttentionShape {
  int64_t samples = 0;
  int64_t heads = 0;     // of queries
  int64_t kv_heads = 0;  // of keys and values; divides heads: query head i reads kv head i / (heads / kv_heads)
  int64_t queries = 0;   // t_q >= 0
  int64_t keys = 0;      // t_k >= 0
  int64_t head_dim = 0;  // any >= 1; multiples of 16 leave no lane idle
};

struct AttentionOptions {
  float scale = 1.0f;  // the usual is 1 / sqrt(head_dim)
  // Query i sees keys 0 to i (also where t_q != t_k, as LibTorch's is_causal has it).
  bool causal = false;
  // Upper bound of a tile's queries and of its keys, >= 1. Tiles are smaller where that is faster (attention_unit.h).
  int64_t chunk = kAttentionChunk;
};

// A tensor [samples, heads, t, head_dim] whose last dimension is contiguous: a slice of packed rows as well as a
// tensor of its own. Strides in elements.
struct AttentionTensor {
  void* data = nullptr;
  int64_t sample_stride = 0;
  int64_t head_stride = 0;
  int64_t row_stride = 0;
};

struct ConstAttentionTensor {
  ConstAttentionTensor() = default;
  ConstAttentionTensor(const void* data, int64_t sample_stride, int64_t head_stride, int64_t row_stride)
      : data(data), sample_stride(sample_stride), head_stride(head_stride), row_stride(row_stride) {}
  ConstAttentionTensor(const AttentionTensor& other)  // NOLINT: what can be written can be read
      : ConstAttentionTensor(other.data, other.sample_stride, other.head_stride, other.row_stride) {}
  const void* data = nullptr;
  int64_t sample_stride = 0;
  int64_t head_stride = 0;
  int64_t row_stride = 0;
};

// What is added to the scores ([samples, heads, t_q, t_k]; -inf hides a key), or, as booleans, which keys a query
// sees. Any strides, 0 where one mask serves several. It applies beside `causal`.
// A query that sees no key has output 0 and gets and gives no gradient.
struct AttentionMask {
  enum class Kind { kNone, kVisible, kAdded };  // kVisible: bool; kAdded: fp32
  Kind kind = Kind::kNone;
  const void* data = nullptr;
  int64_t sample_stride = 0;
  int64_t head_stride = 0;
  int64_t query_stride = 0;
  int64_t key_stride = 0;
};

// fp32 elements of scratch that each worker needs.
int64_t AttentionForwardScratchNumel(const AttentionShape& shape, const AttentionOptions& options);
int64_t AttentionBackwardScratchNumel(const AttentionShape& shape, const AttentionOptions& options);

// The most workers that find work: (sample, head, tile of queries) forward, (sample, kv head) backward, where a
// worker sums the gradients of all queries of a key. A backward of fewer kv heads than cores leaves cores idle.
int64_t AttentionForwardMaxWorkers(const AttentionShape& shape, const AttentionOptions& options);
int64_t AttentionBackwardMaxWorkers(const AttentionShape& shape);

// out [samples, heads, t_q, head_dim] of the dtype of q, k and v (fp32 or bf16); log_sum_exp fp32
// [samples, heads, t_q] contiguous: of the scaled and masked scores, by the natural logarithm; -inf where a query sees
// no key. scratch: workers * AttentionForwardScratchNumel(), 64-byte aligned, its content of no matter.
void AttentionForward(const AttentionShape& shape, const AttentionOptions& options, DType dtype, ConstAttentionTensor q,
                      ConstAttentionTensor k, ConstAttentionTensor v, const AttentionMask& mask, AttentionTensor out,
                      float* log_sum_exp, float* scratch, int64_t workers);

struct AttentionGradients {
  AttentionTensor dq, dk, dv;
};

// Writes (does not add) the gradients, in the dtype of q, k and v. `out` and `log_sum_exp` are forward's, `dout` the
// gradient of out. The mask gets none. scratch: workers * AttentionBackwardScratchNumel().
void AttentionBackward(const AttentionShape& shape, const AttentionOptions& options, DType dtype,
                       ConstAttentionTensor q, ConstAttentionTensor k, ConstAttentionTensor v,
                       const AttentionMask& mask, ConstAttentionTensor out, const float* log_sum_exp,
                       ConstAttentionTensor dout, const AttentionGradients& gradients, float* scratch, int64_t workers);

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_ATTENTION_H_
