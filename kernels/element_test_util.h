// Buffers of fp32 or bf16 for the tests of kernels that take either.
#ifndef STOWAGE_KERNELS_ELEMENT_TEST_UTIL_H_
#define STOWAGE_KERNELS_ELEMENT_TEST_UTIL_H_

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/dtype.h"
#include "kernels/bf16.h"
#include "kernels/test_util.h"

namespace stowage::kernels {

// fp32 or bf16 elements.
class Elements {
 public:
  // The values, rounded to `dtype`.
  Elements(DType dtype, const std::vector<float>& values) : Elements(dtype, static_cast<int64_t>(values.size())) {
    for (int64_t i = 0; i < numel_; ++i) {
      if (dtype_ == DType::kFloat32) {
        std::memcpy(&bytes_[i * 4], &values[i], 4);
      } else {
        const uint16_t bits = Fp32ToBf16(values[i]);
        std::memcpy(&bytes_[i * 2], &bits, 2);
      }
    }
  }
  // Something that no result is.
  Elements(DType dtype, int64_t numel) : dtype_(dtype), numel_(numel), bytes_(numel * DTypeBytes(dtype), 0x7e) {}

  void* data() { return bytes_.data(); }
  const void* data() const { return bytes_.data(); }
  int64_t numel() const { return numel_; }
  DType dtype() const { return dtype_; }
  float operator[](int64_t i) const {
    if (dtype_ == DType::kFloat32) {
      float value;
      std::memcpy(&value, &bytes_[i * 4], 4);
      return value;
    }
    uint16_t bits;
    std::memcpy(&bits, &bytes_[i * 2], 2);
    return Bf16ToFp32(bits);
  }
  bool operator==(const Elements& other) const { return bytes_ == other.bytes_; }

 private:
  DType dtype_;
  int64_t numel_;
  std::vector<unsigned char> bytes_;
};

inline std::vector<float> Scaled(std::vector<float> values, float scale, float shift = 0.0f) {
  for (float& value : values) value = value * scale + shift;
  return values;
}

// |actual - expected| <= error + half a unit of the last place of `dtype`, which for bf16 is 2^-9 of the value at most.
inline testing::AssertionResult Near(const Elements& actual, const std::vector<double>& expected, double error) {
  if (actual.numel() != static_cast<int64_t>(expected.size())) return testing::AssertionFailure() << "sizes";
  const double rounding = actual.dtype() == DType::kBFloat16 ? 0x1p-8 : 0x1p-24;
  for (int64_t i = 0; i < actual.numel(); ++i) {
    const double bound = error + rounding * std::abs(expected[i]);
    if (!(std::abs(actual[i] - expected[i]) <= bound)) {
      return testing::AssertionFailure() << "element " << i << ": " << actual[i] << ", expected " << expected[i];
    }
  }
  return testing::AssertionSuccess();
}

inline std::vector<double> Doubles(const Elements& elements) {
  std::vector<double> values(elements.numel());
  for (int64_t i = 0; i < elements.numel(); ++i) values[i] = elements[i];
  return values;
}

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_ELEMENT_TEST_UTIL_H_
