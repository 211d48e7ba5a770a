#include "kernels/scratch.h"

#include <new>

namespace stowage::kernels {
namespace {

constexpr std::align_val_t kAlignment{64};

ScratchFunctions functions = {[](size_t bytes) { return ::operator new(bytes, kAlignment); },
                              [](void* block) { ::operator delete(block, kAlignment); }};

}  // namespace

void SetScratchFunctions(const ScratchFunctions& set) { functions = set; }

Scratch::Scratch(size_t bytes) : free_(functions.free), data_(bytes == 0 ? nullptr : functions.allocate(bytes)) {}

Scratch::~Scratch() {
  if (data_ != nullptr) free_(data_);
}

}  // namespace stowage::kernels
