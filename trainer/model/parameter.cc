#include "trainer/model/parameter.h"

#include "base/check.h"

namespace stowage {

void GradientSlot::Open() {
  if (!view_.defined() && open_) open_();
  STOWAGE_CHECK(view_.defined()) << "a gradient came when none was asked for";
}

void GradientSlot::Add(const at::Tensor& contribution) {
  Target target = Write();
  if (target.accumulate) {
    target.view.add_(contribution);
  } else {
    target.view.copy_(contribution);
  }
}

void GradientSlot::ZeroIfUnwritten() {
  if (!written_) Write().view.zero_();
}

}  // namespace stowage
