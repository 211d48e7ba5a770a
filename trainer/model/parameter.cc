#include "trainer/model/parameter.h"

#include "base/check.h"

namespace stowage {

void GradientSlot::Add(const at::Tensor& contribution) {
  STOWAGE_CHECK(view_.defined()) << "a gradient came when none was asked for";
  Target target = Write();
  if (target.accumulate) {
    target.view.add_(contribution);
  } else {
    target.view.copy_(contribution);
  }
}

void GradientSlot::ZeroIfUnwritten() {
  if (!written_) view_.zero_();
  written_ = true;
}

}  // namespace stowage
