// A flat tensor whose bytes come and go while the tensor stays.
//
// Views of it, leaves of autograd and what a graph has saved share its storage: the bytes are put into that storage by
// raw pointer, so what was saved before a release is good again after the next Take and refill, and no version moves.
// To read it while there are none is an error of LibTorch's (or of the reader's, through a raw pointer).
//
// Owns the bytes. Not thread-safe.
#ifndef STOWAGE_TRAINER_STATE_REFILLABLE_TENSOR_H_
#define STOWAGE_TRAINER_STATE_REFILLABLE_TENSOR_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "memory/category.h"

namespace stowage {

class RefillableTensor {
 public:
  // [numel], without bytes as yet. `name` and `category`: how the ledger knows them.
  RefillableTensor(std::string name, int64_t numel, at::ScalarType dtype, Category category);
  RefillableTensor(const RefillableTensor&) = delete;
  RefillableTensor& operator=(const RefillableTensor&) = delete;

  // Bytes of any value, unless it has some. Throws what LibTorch throws when memory is short.
  void Take();
  void Release();
  bool present() const;

  const at::Tensor& tensor() const { return tensor_; }
  // nullptr: no bytes.
  void* data() const;

 private:
  const std::string name_;
  const Category category_;
  at::Tensor tensor_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_STATE_REFILLABLE_TENSOR_H_
