// Element types as C++ has them, values that differ by rank and index, and the
// serial reference. For collective cases.
#ifndef STOWAGE_SHARDING_COLLECTIVE_ELEMENTS_H_
#define STOWAGE_SHARDING_COLLECTIVE_ELEMENTS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/dtype.h"
#include "base/hash.h"
#include "kernels/reduction.h"

namespace stowage::cases {

inline uint16_t RoundToBfloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >>
                               16); // to nearest, ties to even
}

inline float FromBfloat16(uint16_t value) {
  const uint32_t bits = static_cast<uint32_t>(value) << 16;
  float result;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

inline uint64_t Bits(int rank, int64_t index) {
  return Mix64(static_cast<uint64_t>(rank) * 0x100000001ULL + index);
}

inline double Real(int rank, int64_t index) {
  const uint64_t bits = Bits(rank, index);
  const double mantissa =
      static_cast<double>(static_cast<int64_t>(bits >> 11)) / (1LL << 52) - 1.0;
  return std::ldexp(mantissa, static_cast<int>(bits % 24) - 12);
}

// Element types as C++ has them: how a value is stored and how it is summed.
struct F32 {
  using Stored = float;
  using Sum = float;
  static constexpr DType kDType = DType::kFloat32;
  static Stored Value(int rank, int64_t index) {
    return static_cast<float>(Real(rank, index));
  }
  static Sum Widen(Stored v) { return v; }
  static Stored Narrow(Sum v) { return v; }
};
struct F64 {
  using Stored = double;
  using Sum = double;
  static constexpr DType kDType = DType::kFloat64;
  static Stored Value(int rank, int64_t index) {
    return Real(rank, index) / 3.0;
  }
  static Sum Widen(Stored v) { return v; }
  static Stored Narrow(Sum v) { return v; }
};
struct BF16 {
  using Stored = uint16_t;
  using Sum = float;
  static constexpr DType kDType = DType::kBFloat16;
  static Stored Value(int rank, int64_t index) {
    return RoundToBfloat16(static_cast<float>(Real(rank, index)));
  }
  static Sum Widen(Stored v) { return FromBfloat16(v); }
  static Stored Narrow(Sum v) { return RoundToBfloat16(v); }
};
struct F16 {
  using Stored = _Float16;
  using Sum = float;
  static constexpr DType kDType = DType::kFloat16;
  static Stored Value(int rank, int64_t index) {
    return static_cast<_Float16>(Real(rank, index));
  }
  static Sum Widen(Stored v) { return static_cast<float>(v); }
  static Stored Narrow(Sum v) { return static_cast<_Float16>(v); }
};
struct I32 {
  using Stored = int32_t;
  using Sum = int32_t;
  static constexpr DType kDType = DType::kInt32;
  static Stored Value(int rank, int64_t index) {
    return static_cast<int32_t>(Bits(rank, index) >> 40) - (1 << 23);
  }
  static Sum Widen(Stored v) { return v; }
  static Stored Narrow(Sum v) { return v; }
};
struct I64 {
  using Stored = int64_t;
  using Sum = int64_t;
  static constexpr DType kDType = DType::kInt64;
  static Stored Value(int rank, int64_t index) {
    return static_cast<int64_t>(Bits(rank, index) >> 8);
  }
  static Sum Widen(Stored v) { return v; }
  static Stored Narrow(Sum v) { return v; }
};

template <typename T>
std::vector<typename T::Stored> Fill(int rank, int64_t begin, int64_t numel) {
  std::vector<typename T::Stored> data(numel);
  for (int64_t i = 0; i < numel; ++i)
    data[i] = T::Value(rank, begin + i);
  return data;
}

// The serial reference: elements [begin, begin + numel) of ranks 0, 1, ...
// taken together in that order.
template <typename T>
std::vector<typename T::Stored> ReduceRanks(Reduction op, int world_size,
                                            int64_t begin, int64_t numel) {
  std::vector<typename T::Stored> data(numel);
  for (int64_t i = 0; i < numel; ++i) {
    typename T::Sum value = T::Widen(T::Value(0, begin + i));
    for (int rank = 1; rank < world_size; ++rank) {
      const typename T::Sum next = T::Widen(T::Value(rank, begin + i));
      if (op == Reduction::kMin) {
        value = std::min(value, next);
      } else if (op == Reduction::kMax) {
        value = std::max(value, next);
      } else {
        value += next;
      }
    }
    if (op == Reduction::kMean)
      value /= static_cast<typename T::Sum>(world_size);
    data[i] = T::Narrow(value);
  }
  return data;
}

template <typename Stored>
absl::Status ExpectSameBits(const Stored *got,
                            const std::vector<Stored> &wanted,
                            absl::string_view what) {
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (std::memcmp(&got[i], &wanted[i], sizeof(Stored)) == 0)
      continue;
    return absl::DataLossError(
        absl::StrCat(what, ": element ", i, " of ", wanted.size(), " is ",
                     static_cast<double>(got[i]), " and should be ",
                     static_cast<double>(wanted[i])));
  }
  return absl::OkStatus();
}

} // namespace stowage::cases

#endif // STOWAGE_SHARDING_COLLECTIVE_ELEMENTS_H_
