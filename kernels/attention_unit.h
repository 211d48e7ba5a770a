// What one worker does at a time for attention.h, and how its scratch is laid out. Private to attention.
#ifndef STOWAGE_KERNELS_ATTENTION_UNIT_H_
#define STOWAGE_KERNELS_ATTENTION_UNIT_H_

#include <algorithm>
#include <cstdint>

#include "kernels/attention.h"

namespace stowage::kernels::internal {

// Rows in scratch are padded with zeros to the widest vector that we compile for.
inline constexpr int64_t kAttentionPad = 16;

constexpr int64_t RoundUpToPad(int64_t n) { return (n + kAttentionPad - 1) / kAttentionPad * kAttentionPad; }

// Sides of a tile. A tile and what it is made of must stay in a second-level cache (512 KiB to 2 MiB a core on CPUs
// with vectors of 32 bytes or more) through the five products of backward: at head_dim 128 that is here
// 10 buffers of at most 64 KiB. Longer tiles do not pay: packing is a few percent at these already, and scores must be
// written and read once between the products whatever the tile. Shorter ones load and store the outputs' accumulators
// more often per product.
inline constexpr int64_t kQueryTile = 128;
inline constexpr int64_t kKeyTile = 128;

struct AttentionProblem {
  AttentionShape shape;
  AttentionOptions options;
  DType dtype = DType::kFloat32;
  ConstAttentionTensor q, k, v, out, dout;
  AttentionMask mask;
  AttentionTensor written_out;
  float* written_log_sum_exp = nullptr;
  const float* log_sum_exp = nullptr;
  AttentionGradients gradients;

  int64_t query_tile() const { return std::max<int64_t>(1, std::min({options.chunk, kQueryTile, shape.queries})); }
  int64_t key_tile() const { return std::max<int64_t>(1, std::min({options.chunk, kKeyTile, shape.keys})); }
  int64_t query_tiles() const { return (shape.queries + query_tile() - 1) / query_tile(); }
  // Padded length of a row of head_dim elements.
  int64_t width() const { return RoundUpToPad(shape.head_dim); }
  // Length of a row in a transposed tile, [.., queries]. One vector more than the queries: a power of two would put a
  // column's elements into few sets of the first-level cache.
  int64_t columns() const { return RoundUpToPad(query_tile()) + kAttentionPad; }
};

// Buffers of a worker, in fp32 elements; each starts at a multiple of 16.
struct ForwardScratch {
  ForwardScratch(const AttentionProblem& problem, float* base);
  float* q;        // [head_dim, columns] transposed, scaled
  float* k;        // [key_tile, width]
  float* v;        // [key_tile, width]
  float* scores;   // [key_tile, columns]
  float* out;      // [query_tile, width]; the queries as rows before they are transposed
  float* max;      // [columns]
  float* sum;      // [columns]
  float* rescale;  // [columns]
  int64_t numel;
};

struct BackwardScratch {
  BackwardScratch(const AttentionProblem& problem, float* base);
  float *k, *v, *dk, *dv;           // [keys, width]
  float *q, *dout, *dq;             // [query_tile, width]
  float *q_columns, *dout_columns;  // [head_dim, columns]
  float *p, *ds;                    // [key_tile, columns]
  float *log_sum_exp, *delta;       // [columns]
  int64_t numel;
};

// Unit `unit` of samples * heads * query_tiles; the tiles that see most keys come first, so that workers that take
// units one by one end together.
void ForwardUnit(const AttentionProblem& problem, int64_t unit, float* scratch);

// Unit `unit` of samples * kv_heads.
void BackwardUnit(const AttentionProblem& problem, int64_t unit, float* scratch);

}  // namespace stowage::kernels::internal

#endif  // STOWAGE_KERNELS_ATTENTION_UNIT_H_
