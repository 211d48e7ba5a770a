#include "kernels/random.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "kernels/dry.h"
#include "kernels/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/random.cc"
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

using Tag64 = hn::ScalableTag<uint64_t>;
using Tag32 = hn::Repartition<uint32_t, Tag64>;
using SignedTag = hn::Repartition<int32_t, Tag64>;
using FloatTag = hn::Repartition<float, Tag64>;
using Vector64 = hn::Vec<Tag64>;
using Vector32 = hn::Vec<Tag32>;
using FloatVector = hn::Vec<FloatTag>;

// Philox counters in a vector, one per 64-bit lane; each gives the numbers of 4 elements, so two vectors of 32-bit
// elements make a block.
constexpr int64_t kCounters = hn::MaxLanes(Tag64());
constexpr int64_t kBlockNumel = 4 * kCounters;

// The streams of one key: the third word of the counter.
constexpr uint64_t kNormalStream = 0;
constexpr uint64_t kDropoutStream = 1;
constexpr uint64_t kUniformStream = 2;

// Which counter of a block each lane computes: even lanes the first half, odd lanes the second. Interleaving within
// 128 bits then writes elements in order, without any crossing of lanes.
HWY_INLINE Vector64 LaneCounters() {
  alignas(64) uint64_t counters[kCounters];
  for (int64_t lane = 0; lane < kCounters; ++lane) counters[lane] = lane / 2 + (lane % 2) * (kCounters / 2);
  return hn::Load(Tag64(), counters);
}

// The two 32-bit halves of `even` and `odd` words: [even, odd] per lane.
HWY_INLINE Vector32 Join(Vector64 low_word, Vector64 high_word) {
  const Tag64 d;
  return hn::BitCast(Tag32(), hn::Or(hn::And(low_word, hn::Set(d, 0xffffffffu)), hn::ShiftLeft<32>(high_word)));
}

// The round keys of Philox, written out once a range.
struct RoundKeys {
  explicit RoundKeys(uint64_t key) {
    uint32_t key0 = static_cast<uint32_t>(key);
    uint32_t key1 = static_cast<uint32_t>(key >> 32);
    for (int round = 0; round < 10; ++round) {
      words[round][0] = key0;
      words[round][1] = key1;
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
  }
  uint64_t words[10][2];
};

// Philox4x32-10 of counter words (low, high, stream, 0). A word lies in the low half of its lane; what the high half
// holds does not matter, since only products (of low halves) and Join() look at it. `words`: 4 results, so too.
HWY_INLINE void Philox(Vector64 counter, uint64_t stream, const RoundKeys& keys, Vector64 words[4]) {
  const Tag64 d;
  const Tag32 d32;
  const auto multiplier0 = hn::Set(d32, 0xD2511F53u);
  const auto multiplier1 = hn::Set(d32, 0xCD9E8D57u);
  Vector64 c0 = counter;
  Vector64 c1 = hn::ShiftRight<32>(counter);
  Vector64 c2 = hn::Set(d, stream);
  Vector64 c3 = hn::Zero(d);
  for (int round = 0; round < 10; ++round) {
    const Vector64 product0 = hn::MulEven(hn::BitCast(d32, c0), multiplier0);
    const Vector64 product1 = hn::MulEven(hn::BitCast(d32, c2), multiplier1);
    c0 = hn::Xor3(hn::ShiftRight<32>(product1), c1, hn::Set(d, keys.words[round][0]));
    c1 = product1;
    c2 = hn::Xor3(hn::ShiftRight<32>(product0), c3, hn::Set(d, keys.words[round][1]));
    c3 = product0;
  }
  words[0] = c0;
  words[1] = c1;
  words[2] = c2;
  words[3] = c3;
}

HWY_INLINE FloatVector FloatSet(double value) { return hn::Set(FloatTag(), static_cast<float>(value)); }

// x * y + z in two roundings, on every CPU.
HWY_INLINE FloatVector MulThenAdd(FloatVector x, FloatVector y, FloatVector z) { return hn::Add(hn::Mul(x, y), z); }

// The radius sqrt(-2 ln u) of u = (x + 1/2) / 2^32, within (0, 1]. The logarithm is Cephes' logf, two ulp off at most.
HWY_INLINE FloatVector Radius(Vector32 x) {
  const FloatTag d;
  const SignedTag di;
  // x as fp32 with one rounding: both halves are exact, and Highway's conversion is of signed numbers.
  const auto high = hn::ConvertTo(d, hn::BitCast(di, hn::ShiftRight<16>(x)));
  const auto low = hn::ConvertTo(d, hn::BitCast(di, hn::And(x, hn::Set(Tag32(), 0xffff))));
  const auto u = MulThenAdd(MulThenAdd(high, FloatSet(65536.0), low), FloatSet(0x1p-32), FloatSet(0x1p-33));
  // u = 2^e * m, sqrt(1/2) <= m < sqrt(2).
  const auto bits = hn::BitCast(di, u);
  const auto e = hn::ShiftRight<23>(hn::Sub(bits, hn::Set(di, 0x3f3504f3)));
  const auto f = hn::Sub(hn::BitCast(d, hn::Sub(bits, hn::ShiftLeft<23>(e))), FloatSet(1.0));
  const auto exponent = hn::ConvertTo(d, e);
  const auto z = hn::Mul(f, f);
  auto y = FloatSet(7.0376836292e-2);
  y = MulThenAdd(y, f, FloatSet(-1.1514610310e-1));
  y = MulThenAdd(y, f, FloatSet(1.1676998740e-1));
  y = MulThenAdd(y, f, FloatSet(-1.2420140846e-1));
  y = MulThenAdd(y, f, FloatSet(1.4249322787e-1));
  y = MulThenAdd(y, f, FloatSet(-1.6668057665e-1));
  y = MulThenAdd(y, f, FloatSet(2.0000714765e-1));
  y = MulThenAdd(y, f, FloatSet(-2.4999993993e-1));
  y = MulThenAdd(y, f, FloatSet(3.3333331174e-1));
  y = hn::Mul(hn::Mul(y, f), z);
  y = MulThenAdd(exponent, FloatSet(-2.12194440e-4), y);
  y = MulThenAdd(z, FloatSet(-0.5), y);
  const auto log = MulThenAdd(exponent, FloatSet(0.693359375), hn::Add(f, y));
  return hn::Sqrt(hn::Mul(log, FloatSet(-2.0)));
}

// Cosine and sine of 2 pi x / 2^32. The reduction to an eighth of a turn is exact, in integers; then Cephes' sinf,
// cosf.
HWY_INLINE void CosSin(Vector32 x, FloatVector* cosine, FloatVector* sine) {
  const FloatTag d;
  const SignedTag di;
  const Tag32 du;
  const auto quadrant = hn::ShiftRight<30>(hn::Add(x, hn::Set(du, 1u << 29)));
  const auto rest = hn::BitCast(di, hn::Sub(x, hn::ShiftLeft<30>(quadrant)));
  const auto a = hn::Mul(hn::ConvertTo(d, rest), FloatSet(6.283185307179586 / 4294967296.0));
  const auto z = hn::Mul(a, a);
  auto s = FloatSet(-1.9515295891e-4);
  s = MulThenAdd(s, z, FloatSet(8.3321608736e-3));
  s = MulThenAdd(s, z, FloatSet(-1.6666654611e-1));
  s = MulThenAdd(hn::Mul(s, z), a, a);
  auto c = FloatSet(2.443315711809948e-5);
  c = MulThenAdd(c, z, FloatSet(-1.388731625493765e-3));
  c = MulThenAdd(c, z, FloatSet(4.166664568298827e-2));
  c = hn::Mul(hn::Mul(c, z), z);
  c = hn::Add(MulThenAdd(z, FloatSet(-0.5), c), FloatSet(1.0));
  // Quadrant 0: (c, s), 1: (-s, c), 2: (-c, -s), 3: (s, -c).
  const auto one = hn::Set(du, 1);
  const auto swap = hn::RebindMask(d, hn::Eq(hn::And(quadrant, one), one));
  const auto sine_sign = hn::ShiftLeft<30>(hn::AndNot(one, quadrant));  // bit 1 of the quadrant to bit 31
  const auto cosine_sign = hn::ShiftLeft<30>(hn::AndNot(one, hn::Add(quadrant, one)));
  *cosine = hn::Xor(hn::IfThenElse(swap, s, c), hn::BitCast(d, cosine_sign));
  *sine = hn::Xor(hn::IfThenElse(swap, c, s), hn::BitCast(d, sine_sign));
}

// kBlockNumel elements, from index 4 * counter on.
HWY_INLINE void NormalBlock(uint64_t counter, const RoundKeys& keys, FloatVector mean, FloatVector stddev,
                            Vector64 lanes, float* HWY_RESTRICT out) {
  const FloatTag d;
  Vector64 words[4];
  Philox(hn::Add(hn::Set(Tag64(), counter), lanes), kNormalStream, keys, words);
  const auto radius = Radius(Join(words[0], words[2]));
  FloatVector cosine, sine;
  CosSin(Join(words[1], words[3]), &cosine, &sine);
  const auto even = MulThenAdd(hn::Mul(radius, cosine), stddev, mean);
  const auto odd = MulThenAdd(hn::Mul(radius, sine), stddev, mean);
  hn::StoreU(hn::InterleaveLower(d, even, odd), d, out);
  hn::StoreU(hn::InterleaveUpper(d, even, odd), d, out + kBlockNumel / 2);
}

void NormalRange(float* out, int64_t numel, uint64_t key, int64_t first_index, float mean_value, float stddev_value) {
  const auto mean = hn::Set(FloatTag(), mean_value);
  const auto stddev = hn::Set(FloatTag(), stddev_value);
  const auto lanes = LaneCounters();
  const RoundKeys keys(key);
  alignas(64) float block[kBlockNumel];
  // A counter gives 4 elements: what lies before the first whole counter, and after the last whole block, is cut out
  // of a block of its own.
  int64_t i = 0;
  const int64_t skip = first_index % 4;
  if (skip != 0 && numel > 0) {
    NormalBlock(first_index / 4, keys, mean, stddev, lanes, block);
    i = std::min<int64_t>(4 - skip, numel);
    std::memcpy(out, block + skip, i * sizeof(float));
  }
  for (; i + kBlockNumel <= numel; i += kBlockNumel) {
    NormalBlock((first_index + i) / 4, keys, mean, stddev, lanes, out + i);
  }
  if (i < numel) {
    NormalBlock((first_index + i) / 4, keys, mean, stddev, lanes, block);
    std::memcpy(out + i, block, (numel - i) * sizeof(float));
  }
}

HWY_INLINE void UniformBlock(uint64_t counter, const RoundKeys& keys, FloatVector low, FloatVector width,
                             Vector64 lanes, float* HWY_RESTRICT out) {
  const FloatTag d;
  const SignedTag di;
  const Tag64 d64;
  Vector64 words[4];
  Philox(hn::Add(hn::Set(d64, counter), lanes), kUniformStream, keys, words);
  const auto first = hn::BitCast(d64, Join(words[0], words[1]));
  const auto second = hn::BitCast(d64, Join(words[2], words[3]));
  const Vector64 random[2] = {hn::InterleaveLower(d64, first, second), hn::InterleaveUpper(d64, first, second)};
  const hn::RebindToUnsigned<SignedTag> du;
  for (int half = 0; half < 2; ++half) {
    const auto bits = hn::BitCast(di, hn::ShiftRight<8>(hn::BitCast(du, random[half])));
    const auto uniform = hn::Mul(hn::ConvertTo(d, bits), hn::Set(d, 0x1.0p-24f));
    hn::StoreU(hn::Add(hn::Mul(uniform, width), low), d, out + half * (kBlockNumel / 2));
  }
}

void UniformRange(float* out, int64_t numel, uint64_t key, int64_t first_index, float low_value, float width_value) {
  const auto low = hn::Set(FloatTag(), low_value);
  const auto width = hn::Set(FloatTag(), width_value);
  const auto lanes = LaneCounters();
  const RoundKeys keys(key);
  alignas(64) float block[kBlockNumel];
  int64_t i = 0;
  const int64_t skip = first_index % 4;
  if (skip != 0 && numel > 0) {
    UniformBlock(first_index / 4, keys, low, width, lanes, block);
    i = std::min<int64_t>(4 - skip, numel);
    std::memcpy(out, block + skip, i * sizeof(float));
  }
  for (; i + kBlockNumel <= numel; i += kBlockNumel) {
    UniformBlock((first_index + i) / 4, keys, low, width, lanes, out + i);
  }
  if (i < numel) {
    UniformBlock((first_index + i) / 4, keys, low, width, lanes, block);
    std::memcpy(out + i, block, (numel - i) * sizeof(float));
  }
}

struct DropoutVectors {
  Vector64 lanes;
  hn::Vec<SignedTag> threshold;
  FloatVector scale;
};

// kBlockNumel elements, from index 4 * counter on. in may be out: a vector is read before it is written.
HWY_INLINE void DropoutBlock(uint64_t counter, const RoundKeys& keys, const DropoutVectors& k, const float* in,
                             float* out) {
  const FloatTag d;
  const SignedTag di;
  const Tag64 d64;
  Vector64 words[4];
  Philox(hn::Add(hn::Set(d64, counter), k.lanes), kDropoutStream, keys, words);
  const auto first = hn::BitCast(d64, Join(words[0], words[1]));
  const auto second = hn::BitCast(d64, Join(words[2], words[3]));
  const Vector64 random[2] = {hn::InterleaveLower(d64, first, second), hn::InterleaveUpper(d64, first, second)};
  for (int half = 0; half < 2; ++half) {
    const int64_t at = half * (kBlockNumel / 2);
    // Unsigned x < t is signed (x ^ 2^31) < (t ^ 2^31), which every CPU has.
    const auto x = hn::Xor(hn::BitCast(di, random[half]), hn::Set(di, INT32_MIN));
    const auto dropped = hn::RebindMask(d, hn::Lt(x, k.threshold));
    hn::StoreU(hn::IfThenZeroElse(dropped, hn::Mul(hn::LoadU(d, in + at), k.scale)), d, out + at);
  }
}

// `threshold`: an element is dropped if its 32 random bits are below it.
void DropoutRange(const float* in, float* out, int64_t numel, uint64_t key, int64_t first_index, uint32_t threshold,
                  float scale) {
  const DropoutVectors k = {LaneCounters(), hn::Set(SignedTag(), static_cast<int32_t>(threshold ^ 0x80000000u)),
                            hn::Set(FloatTag(), scale)};
  const RoundKeys keys(key);
  alignas(64) float block[kBlockNumel] = {};
  int64_t i = 0;
  const int64_t skip = first_index % 4;
  if (skip != 0 && numel > 0) {
    i = std::min<int64_t>(4 - skip, numel);
    std::memcpy(block + skip, in, i * sizeof(float));
    DropoutBlock(first_index / 4, keys, k, block, block);
    std::memcpy(out, block + skip, i * sizeof(float));
  }
  for (; i + kBlockNumel <= numel; i += kBlockNumel) DropoutBlock((first_index + i) / 4, keys, k, in + i, out + i);
  if (i < numel) {
    std::memcpy(block, in + i, (numel - i) * sizeof(float));
    DropoutBlock((first_index + i) / 4, keys, k, block, block);
    std::memcpy(out + i, block, (numel - i) * sizeof(float));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace stowage::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace stowage::kernels {
namespace {

HWY_EXPORT(NormalRange);
HWY_EXPORT(UniformRange);
HWY_EXPORT(DropoutRange);

// Some 20 us of work on one thread; parts start at a cache line, which is a whole number of counters too.
constexpr int64_t kGrainNumel = 16384;
constexpr int64_t kCacheLineNumel = 16;

}  // namespace

void FillNormal(float* out, int64_t numel, uint64_t key, int64_t first_index, float mean, float stddev) {
  STOWAGE_CHECK(first_index >= 0) << first_index;
  if (Dry()) return;
  ParallelFor(numel, kGrainNumel, kCacheLineNumel, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(NormalRange)(out + begin, end - begin, key, first_index + begin, mean, stddev);
  });
}

void FillUniform(float* out, int64_t numel, uint64_t key, int64_t first_index, float low, float high) {
  STOWAGE_CHECK(first_index >= 0) << first_index;
  if (Dry()) return;
  ParallelFor(numel, kGrainNumel, kCacheLineNumel, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(UniformRange)(out + begin, end - begin, key, first_index + begin, low, high - low);
  });
}

void Dropout(const float* in, float* out, int64_t numel, uint64_t key, float p, int64_t first_index) {
  STOWAGE_CHECK(p >= 0.0f && p <= 1.0f) << "p " << p;
  STOWAGE_CHECK(first_index >= 0) << first_index;
  if (Dry()) return;
  // The threshold is p * 2^32, which at p = 1 does not fit: there is nothing to draw then.
  const double threshold = std::nearbyint(static_cast<double>(p) * 4294967296.0);
  if (threshold >= 4294967296.0) {
    std::fill(out, out + numel, 0.0f);
    return;
  }
  const float scale = static_cast<float>(1.0 / (1.0 - static_cast<double>(p)));
  ParallelFor(numel, kGrainNumel, kCacheLineNumel, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(DropoutRange)
    (in + begin, out + begin, end - begin, key, first_index + begin, static_cast<uint32_t>(threshold), scale);
  });
}

}  // namespace stowage::kernels
#endif  // HWY_ONCE
