// Which elements of a flat buffer are updated how: the optimizer takes a table of ranges, not tensors.
#ifndef STOWAGE_TRAINER_OPTIMIZER_RANGES_H_
#define STOWAGE_TRAINER_OPTIMIZER_RANGES_H_

#include <cstdint>

namespace stowage {

// Elements [begin, end), counted from the start of the buffer that is handed over: of the whole, or of a shard.
struct OptimizerRange {
  int64_t begin = 0;
  int64_t end = 0;
  double lr_scale = 1.0;     // times the step's learning rate
  bool decay = true;         // whether optimizer.weight_decay applies: to matrices, not to biases and norms
  uint16_t* bf16 = nullptr;  // [end - begin], outside the buffer: the new values again, rounded to bf16; null: nowhere
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_OPTIMIZER_RANGES_H_
