#include "trainer/module/generator_scope.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/empty.h>

#include "kernels/dry.h"

namespace stowage {
namespace {

std::mutex& GeneratorMutex() {
  static auto* const mutex = new std::mutex;  // the generator it guards is never destroyed either
  return *mutex;
}

// LibTorch makes and reads this tensor past its dispatcher, so that a dry run does not reach it.
at::Tensor State(bool dry) {
  if (dry) return at::empty({GeneratorScope::kStateBytes}, at::kByte);
  return at::detail::getDefaultCPUGenerator().get_state();
}

}  // namespace

GeneratorScope::GeneratorScope(uint64_t key) : dry_(kernels::Dry()), lock_(GeneratorMutex()), outer_(State(dry_)) {
  if (dry_) return;
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  generator.set_current_seed(key);
}

GeneratorScope::~GeneratorScope() {
  if (dry_) return;
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  generator.set_state(outer_);
}

}  // namespace stowage
