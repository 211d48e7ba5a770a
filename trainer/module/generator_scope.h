// LibTorch's random numbers from a key, for as long as the scope lives.
//
// Modules draw from LibTorch's default CPU generator: their initial values, and dropout. That generator belongs to the
// process. The scope holds a lock of the process, seeds the generator, and puts its former state back: so what is drawn
// inside is a function of the key alone, and scopes of several ranks in one process wait for each other. Scopes do not
// nest (it would wait for itself), and nobody may hold one over a collective.
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

 private:
  const std::unique_lock<std::mutex> lock_;
  const at::Tensor outer_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODULE_GENERATOR_SCOPE_H_
