// How values of several ranks become one.
#ifndef STOWAGE_KERNELS_REDUCTION_H_
#define STOWAGE_KERNELS_REDUCTION_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace stowage {

enum class Reduction : uint8_t {
  kSum,
  kMean,  // the sum divided by the number of ranks; for floating-point types
  kMin,   // NaN if any is NaN
  kMax,   // NaN if any is NaN
};

constexpr absl::string_view ReductionName(Reduction reduction) {
  switch (reduction) {
    case Reduction::kSum:
      return "sum";
    case Reduction::kMean:
      return "mean";
    case Reduction::kMin:
      return "min";
    case Reduction::kMax:
      return "max";
  }
  return "?";
}

}  // namespace stowage

#endif  // STOWAGE_KERNELS_REDUCTION_H_
