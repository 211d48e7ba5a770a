#include "kernels/top_k.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "kernels/dry.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/top_k.cc"
// highway_targets.h comes first.
#include "kernels/highway_targets.h"
//
#include "hwy/foreach_target.h"
//
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace stowage::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Signed, since magnitudes have no highest bit and signed comparison is every CPU's.
using Word = hn::ScalableTag<int32_t>;
constexpr int64_t kLanes = hn::MaxLanes(Word());

HWY_INLINE hn::Vec<Word> Magnitudes(const float* values) {
  const Word w;
  return hn::And(hn::BitCast(w, hn::LoadU(hn::ScalableTag<float>(), values)), hn::Set(w, 0x7fffffff));
}

HWY_INLINE uint32_t Magnitude(const float* value) {
  uint32_t bits;
  std::memcpy(&bits, value, sizeof(bits));
  return bits & 0x7fffffffu;
}

// Calls each(i) for every i, ascending, whose magnitude `of` chooses: by vectors of magnitudes, and by one. Few are.
template <class OfVector, class OfOne, class Each>
HWY_INLINE void ForChosen(const float* HWY_RESTRICT values, int64_t numel, OfVector of_vector, OfOne of_one,
                          Each each) {
  const Word w;
  int64_t i = 0;
  for (; i + kLanes <= numel; i += kLanes) {
    const auto mask = of_vector(Magnitudes(values + i));
    if (hn::AllFalse(w, mask)) continue;
    uint8_t bytes[8] = {};
    hn::StoreMaskBits(w, mask, bytes);
    uint64_t bits;
    std::memcpy(&bits, bytes, sizeof(bits));
    for (; bits != 0; bits &= bits - 1) each(i + __builtin_ctzll(bits));
  }
  for (; i < numel; ++i) {
    if (of_one(Magnitude(values + i))) each(i);
  }
}

// Adds to counts[digit], where the bits above the digit are `above`. The digit's highest bit is bit shift + width - 1.
void CountDigits(const float* values, int64_t numel, int shift, uint32_t digit_mask, uint32_t above, int above_shift,
                 uint32_t* counts) {
  const Word w;
  const auto wanted = hn::Set(w, static_cast<int32_t>(above));
  ForChosen(
      values, numel,
      [&](hn::Vec<Word> m) {
        // Of two shifts that come up, constants: variable ones are slow before AVX2.
        return hn::Eq(above_shift == 20 ? hn::ShiftRight<20>(m) : hn::ShiftRight<10>(m), wanted);
      },
      [&](uint32_t m) { return m >> above_shift == above; },
      [&](int64_t i) { ++counts[(Magnitude(values + i) >> shift) & digit_mask]; });
}

// All that is above `least`, and the first `equal` of those that are it.
void Collect(const float* values, int64_t numel, uint32_t least, int64_t equal, uint32_t* places, float* picked) {
  const Word w;
  const auto below = hn::Set(w, static_cast<int32_t>(least) - 1);
  ForChosen(
      values, numel, [&](hn::Vec<Word> m) { return hn::Gt(m, below); }, [&](uint32_t m) { return m >= least; },
      [&](int64_t i) {
        if (Magnitude(values + i) == least && equal-- <= 0) return;
        *places++ = static_cast<uint32_t>(i);
        *picked++ = values[i];
      });
}

}  // namespace HWY_NAMESPACE
}  // namespace stowage::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stowage::kernels {
namespace {

HWY_EXPORT(CountDigits);
HWY_EXPORT(Collect);

constexpr int kFirstBits = 11, kNextBits = 10;
constexpr int kFirstDigits = 1 << kFirstBits, kNextDigits = 1 << kNextBits;

uint32_t FirstDigit(const float* value) {
  uint32_t bits;
  std::memcpy(&bits, value, sizeof(bits));
  return (bits << 1) >> (32 - kFirstBits);
}

// In four tables, so that neighbours of the same digit do not wait for each other's count.
void CountFirstDigits(const float* values, int64_t numel, uint32_t* counts) {
  constexpr int kTables = 4;
  uint32_t tables[kTables][kFirstDigits] = {};
  int64_t i = 0;
  for (; i + kTables <= numel; i += kTables) {
    for (int t = 0; t < kTables; ++t) ++tables[t][FirstDigit(values + i + t)];
  }
  for (; i < numel; ++i) ++tables[0][FirstDigit(values + i)];
  for (int digit = 0; digit < kFirstDigits; ++digit) {
    counts[digit] = tables[0][digit] + tables[1][digit] + tables[2][digit] + tables[3][digit];
  }
}

// The digit in which the k-th largest lies. `k` becomes how many of that digit are wanted.
int DigitOf(const uint32_t* counts, int digits, int64_t* k) {
  int digit = digits - 1;
  for (; digit > 0 && counts[digit] < *k; --digit) *k -= counts[digit];
  return digit;
}

// The block of a sum that stays in the first cache while all ranks' picks are added to it.
constexpr int64_t kSumBlock = 4096;

}  // namespace

void TopK(const float* values, int64_t numel, int64_t k, uint32_t* places, float* picked) {
  STOWAGE_CHECK(0 <= k && k <= numel && numel <= kMostTopKNumel) << k << " of " << numel;
  if (Dry() || k == 0) return;
  const auto count = HWY_DYNAMIC_DISPATCH(CountDigits);
  const auto collect = HWY_DYNAMIC_DISPATCH(Collect);
  uint32_t counts[kFirstDigits];
  CountFirstDigits(values, numel, counts);
  // Of what has these highest bits, `wanted` are: all, and the bits below do not matter; or fewer.
  int64_t wanted = k;
  uint32_t least = static_cast<uint32_t>(DigitOf(counts, kFirstDigits, &wanted));
  int known_above = 2 * kNextBits;
  bool all = counts[least] == wanted;
  while (!all && known_above > 0) {
    std::fill_n(counts, kNextDigits, 0);
    count(values, numel, known_above - kNextBits, kNextDigits - 1, least, known_above, counts);
    const int digit = DigitOf(counts, kNextDigits, &wanted);
    least = least << kNextBits | static_cast<uint32_t>(digit);
    known_above -= kNextBits;
    all = counts[digit] == wanted;
  }
  collect(values, numel, least << known_above, all ? numel : wanted, places, picked);
}

void ClearPlaces(const uint32_t* places, int64_t k, float* values) {
  if (Dry()) return;
  for (int64_t j = 0; j < k; ++j) values[places[j]] = -0.0f;
}

void SumPicks(absl::Span<const Picks> all, int64_t k, float* out, int64_t numel) {
  STOWAGE_CHECK(0 <= k && k <= numel && numel <= kMostTopKNumel) << k << " of " << numel;
  if (Dry()) return;
  std::vector<int64_t> next(all.size(), 0);
  for (int64_t begin = 0; begin < numel; begin += kSumBlock) {
    const int64_t end = std::min(numel, begin + kSumBlock);
    std::fill(out + begin, out + end, -0.0f);
    for (size_t r = 0; r < all.size(); ++r) {
      int64_t j = next[r];
      for (; j < k && all[r].places[j] < end; ++j) out[all[r].places[j]] += all[r].values[j];
      next[r] = j;
    }
  }
  for (size_t r = 0; r < all.size(); ++r) {
    STOWAGE_CHECK(next[r] == k) << "pick " << next[r] << " of part " << r << " lies at " << all[r].places[next[r]]
                                << " of " << numel;
  }
}

}  // namespace stowage::kernels
#endif  // HWY_ONCE
