// What a group's gradients are to be on their way between ranks. docs/sharding.md says what it changes.
//
// Plain data. Torch-free.
#ifndef STOWAGE_SHARDING_COMPRESSION_GRADIENT_COMPRESSION_H_
#define STOWAGE_SHARDING_COMPRESSION_GRADIENT_COMPRESSION_H_

#include <cstdint>

namespace stowage {

struct GradientCompression {
  enum class Kind : uint8_t {
    kNone,  // as they are
    kBf16,  // rounded to bf16; summed in fp32 in rank order, and the sum rounded once
    kTopK,  // the largest of each shard, with their places
  };
  Kind kind = Kind::kNone;
  // Of kTopK: which part of the elements is sent, above 0 and at most 1; and whether what is not sent stays behind and
  // is added to the next gradients.
  double keep = 0.01;
  bool error_feedback = true;
};

}  // namespace stowage

#endif  // STOWAGE_SHARDING_COMPRESSION_GRADIENT_COMPRESSION_H_
