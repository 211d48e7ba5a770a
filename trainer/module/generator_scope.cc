#include "trainer/module/generator_scope.h"

#include <ATen/CPUGeneratorImpl.h>

namespace stowage {
namespace {

std::mutex& GeneratorMutex() {
  static auto* const mutex = new std::mutex;  // the generator it guards is never destroyed either
  return *mutex;
}

}  // namespace

GeneratorScope::GeneratorScope(uint64_t key)
    : lock_(GeneratorMutex()), outer_(at::detail::getDefaultCPUGenerator().get_state()) {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  generator.set_current_seed(key);
}

GeneratorScope::~GeneratorScope() {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  generator.set_state(outer_);
}

}  // namespace stowage
