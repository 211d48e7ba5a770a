// LibTorch's random numbers from a key, for as long as the scope lives.
//
// Modules draw from LibTorch's default CPU generator: their initial values, and dropout. That generator belongs to the
// process. The scope holds a lock of the process, seeds the generator, and puts its former state back: so what is drawn
// inside is a function of the key alone, and scopes of several ranks in one process wait for each other. Scopes do not
// nest (it would wait for itself), and nobody may hold one over a collective. In a dry run (kernels/dry.h), where
// nothing is drawn, the generator is left alone; the scope takes the same bytes.
#ifndef STOWAGE_TRAINER_MODULE_GENERATOR_SCOPE_H_
#define STOWAGE_TRAINER_MODULE_GENERATOR_SCOPE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <mutex>

namespace stowage {

class GeneratorScope {
 public:
  explicit GeneratorScope(uint64_t key);
  ~GeneratorScope();
  GeneratorScope(const GeneratorScope&) = delete;
  GeneratorScope& operator=(const GeneratorScope&) = delete;

  // What LibTorch (2.11) makes of a CPU generator's state, in bytes.
  static constexpr int64_t kStateBytes = 5056;

 private:
  const bool dry_;
  const std::unique_lock<std::mutex> lock_;
  const at::Tensor outer_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODULE_GENERATOR_SCOPE_H_
