#include "trainer/breakdown/activation_bytes.h"

namespace stowage {

ActivationBytes ActivationsInTheLiterature(const ModelSizes& sizes, int64_t sequences, int64_t element_bytes) {
  const int64_t e = element_bytes, rows = sequences * sizes.context, sbh = rows * sizes.width;
  constexpr int64_t kMask = 1;  // dropout's, bytes an element
  ActivationBytes bytes;
  bytes.embeddings = kMask * sbh;
  bytes.qkv = sizes.layers * (e * sbh + e * rows * sizes.qkv_rows());
  // Softmax's output, dropout's mask, dropout's output.
  bytes.scores = sizes.layers * (2 * e + kMask) * sequences * sizes.heads * sizes.context * sizes.context;
  bytes.attention_output = sizes.layers * (e + kMask) * sbh;
  bytes.ffn = sizes.layers * (e * sbh + e * rows * (sizes.up_rows() + sizes.ffn) + kMask * sbh);
  bytes.layer_output = sizes.layers * 2 * e * sbh;
  // The last norm's input and output, and the logits in fp32 (section 4.3).
  bytes.head = 2 * e * sbh + 4 * rows * sizes.vocabulary;
  return bytes;
}

ActivationBytes OwnActivations(const ModelSizes& sizes, int64_t sequences, int64_t element_bytes) {
  const int64_t e = element_bytes, rows = sequences * sizes.context, sbh = rows * sizes.width;
  const int64_t statistics = 4 * rows * (sizes.llama() ? 1 : 2);  // fp32: RMSNorm 1 / root, LayerNorm a mean too
  ActivationBytes bytes;
  bytes.embeddings = e * sbh;
  bytes.qkv = sizes.layers * (e * sbh + statistics + e * rows * sizes.qkv_rows());
  bytes.scores = sizes.layers * 4 * rows * sizes.heads;  // log-sum-exp, fp32
  bytes.attention_output = sizes.layers * e * sbh;
  bytes.ffn = sizes.layers * (e * sbh + statistics + e * rows * (sizes.up_rows() + sizes.ffn));
  bytes.layer_output = sizes.layers * 2 * e * sbh;
  // The gradient of the last norm's output takes that output's place; the loss is one fp64.
  bytes.head = e * sbh + statistics + 8;
  return bytes;
}

}  // namespace stowage
