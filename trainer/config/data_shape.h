// What a model must know of its data: every "auto" of a config that only the data can decide.
#ifndef STOWAGE_TRAINER_CONFIG_DATA_SHAPE_H_
#define STOWAGE_TRAINER_CONFIG_DATA_SHAPE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace stowage {

// Plain data. Token data has a vocabulary and nothing else.
struct DataShape {
  int64_t vocabulary = 0;      // distinct token ids; 0: no tokens, or the files do not say
  std::vector<int64_t> input;  // of one sample's "inputs": [channels, height, width], [features] or [time, features]
  int64_t outputs = 0;         // classes of int64 "targets" [n], or width of float "targets" [n, outputs]
  bool classes = false;        // which of the two
  std::string tokenizer;       // of tokens: data.tokenizer, auto filled in; empty: no tokens
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CONFIG_DATA_SHAPE_H_
