// Elements of fp32 or bf16 as vectors of fp32: for kernels whose buffers are either and whose arithmetic is fp32.
// bf16 lies in memory as uint16_t. Included once per target (Highway's way), so after HWY_TARGET_INCLUDE and highway.h.
#if defined(STOWAGE_KERNELS_ELEMENT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STOWAGE_KERNELS_ELEMENT_INL_H_
#undef STOWAGE_KERNELS_ELEMENT_INL_H_
#else
#define STOWAGE_KERNELS_ELEMENT_INL_H_
#endif

#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/bf16-inl.h"

HWY_BEFORE_NAMESPACE();
namespace stowage::kernels {
namespace HWY_NAMESPACE {

using Float = hwy::HWY_NAMESPACE::ScalableTag<float>;
using FloatVector = hwy::HWY_NAMESPACE::Vec<Float>;
// Elements a vector.
constexpr int64_t kFloatLanes = hwy::HWY_NAMESPACE::MaxLanes(Float());

HWY_INLINE FloatVector LoadElements(const float* from) { return hwy::HWY_NAMESPACE::LoadU(Float(), from); }
HWY_INLINE FloatVector LoadElements(const uint16_t* from) { return LoadBf16(Float(), from); }
HWY_INLINE void StoreElements(FloatVector value, float* to) { hwy::HWY_NAMESPACE::StoreU(value, Float(), to); }
HWY_INLINE void StoreElements(FloatVector value, uint16_t* to) { StoreBf16(value, Float(), to); }

// The first `count` elements, fewer than a vector; the others are zeros.
template <typename T>
HWY_INLINE FloatVector LoadPart(const T* from, int64_t count) {
  alignas(64) T padded[kFloatLanes] = {};
  std::memcpy(padded, from, count * sizeof(T));
  return LoadElements(padded);
}
template <typename T>
HWY_INLINE void StorePart(FloatVector value, T* to, int64_t count) {
  alignas(64) T padded[kFloatLanes];
  StoreElements(value, padded);
  std::memcpy(to, padded, count * sizeof(T));
}

// Where a loop over elements stands, so that one body serves whole vectors and the tail, which is computed as a vector
// too: an element gets the same bits wherever it lies.
struct WholeVector {
  template <typename T>
  HWY_INLINE FloatVector Load(const T* from) const {
    return LoadElements(from);
  }
  template <typename T>
  HWY_INLINE void Store(FloatVector value, T* to) const {
    StoreElements(value, to);
  }
};
struct PartOfVector {
  int64_t count;
  template <typename T>
  HWY_INLINE FloatVector Load(const T* from) const {
    return LoadPart(from, count);
  }
  template <typename T>
  HWY_INLINE void Store(FloatVector value, T* to) const {
    StorePart(value, to, count);
  }
};

// body(i, WholeVector) for each whole vector from element i on, then body(i, PartOfVector) for what is left.
template <class Body>
HWY_INLINE void ForEachVector(int64_t numel, const Body& body) {
  int64_t i = 0;
  for (; i + kFloatLanes <= numel; i += kFloatLanes) body(i, WholeVector());
  if (i < numel) body(i, PartOfVector{numel - i});
}

}  // namespace HWY_NAMESPACE
}  // namespace stowage::kernels
HWY_AFTER_NAMESPACE();

#endif  // the toggled guard
