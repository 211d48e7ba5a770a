// Every public function of kernels/ that touches buffers, called on addresses that nobody may read or write.
//
// A new kernel brings a row (or EveryPublicFunctionHasARow fails). Not here: what private headers declare (*-inl.h,
// *_unit.h, *_internal.h), which only kernels call; and what `NeedsNoRow` names, which touches no buffer.
#include "kernels/dry.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <ostream>
#include <regex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/dtype.h"
#include "kernels/accumulate.h"
#include "kernels/adamw.h"
#include "kernels/attention.h"
#include "kernels/cast.h"
#include "kernels/cast_in_place.h"
#include "kernels/column_sum.h"
#include "kernels/conv2d.h"
#include "kernels/cross_entropy.h"
#include "kernels/gelu.h"
#include "kernels/gemm.h"
#include "kernels/group_norm.h"
#include "kernels/layer_norm.h"
#include "kernels/norm.h"
#include "kernels/random.h"
#include "kernels/relu.h"
#include "kernels/rms_norm.h"
#include "kernels/rotary.h"
#include "kernels/scratch.h"
#include "kernels/swiglu.h"
#include "kernels/test_util.h"
#include "kernels/top_k.h"

namespace stowage::kernels {
namespace {

// Hands out addresses of pages that fault when touched, each once.
class Nowhere {
 public:
  static char* Take(int64_t bytes) {
    static Nowhere nowhere;
    const std::lock_guard<std::mutex> lock(nowhere.mutex_);
    char* const block = nowhere.next_;
    nowhere.next_ += (bytes + 63) / 64 * 64;
    if (nowhere.next_ > nowhere.begin_ + kBytes) std::abort();
    return block;
  }

 private:
  static constexpr int64_t kBytes = int64_t{1} << 34;
  Nowhere() {
    void* const mapping =
        mmap(nullptr, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, /*fd=*/-1, /*offset=*/0);
    if (mapping == MAP_FAILED) std::abort();
    begin_ = next_ = static_cast<char*>(mapping);
  }
  std::mutex mutex_;
  char *begin_, *next_;
};

struct Free {
  void operator()(void* block) const { std::free(block); }
};

// Where a call's buffers come from: zeros, or nowhere.
class Buffers {
 public:
  explicit Buffers(bool real) : real_(real) {}
  template <typename T>
  T* Take(int64_t numel) {
    const int64_t bytes = (numel * sizeof(T) + 63) / 64 * 64;
    if (!real_) return reinterpret_cast<T*>(Nowhere::Take(bytes));
    blocks_.emplace_back(std::aligned_alloc(64, bytes));
    std::memset(blocks_.back().get(), 0, bytes);
    return static_cast<T*>(blocks_.back().get());
  }
  void* Take(DType dtype, int64_t numel) { return Take<char>(numel * DTypeBytes(dtype)); }

 private:
  const bool real_;
  std::vector<std::unique_ptr<void, Free>> blocks_;
};

// Scratch as it is taken: bytes where a block is taken, minus the bytes where it is given back. A dry call's comes from
// nowhere too.
class ScratchRecord {
 public:
  ScratchRecord() { SetScratchFunctions({&Allocate, &Release}); }
  std::vector<int64_t> Taken() const { return std::exchange(events_, {}); }

 private:
  static void* Allocate(size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    void* const block = Dry() ? Nowhere::Take(bytes) : std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    live_[block] = {bytes, Dry()};
    events_.push_back(bytes);
    return block;
  }
  static void Release(void* block) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto [bytes, dry] = live_.at(block);
    live_.erase(block);
    events_.push_back(-bytes);
    if (!dry) std::free(block);
  }
  static inline std::mutex mutex_;
  static inline std::map<void*, std::pair<int64_t, bool>> live_;
  static inline std::vector<int64_t> events_;
};

struct Call {
  std::string name;  // the function's, and after "_" the case
  std::function<void(Buffers&)> run;
  bool takes_scratch = false;
};
void PrintTo(const Call& call, std::ostream* out) { *out << call.name; }

constexpr int64_t kNumel = 100003;  // several threads' worth, and no whole number of vectors

AttentionTensor View(void* data, int64_t heads, int64_t t, int64_t width) {
  return {data, heads * t * width, t * width, width};
}

void RunAttention(DType dtype, bool backward, Buffers& b) {
  AttentionShape shape;
  shape.samples = 2, shape.heads = 4, shape.kv_heads = 2, shape.queries = 70, shape.keys = 90, shape.head_dim = 24;
  AttentionOptions options;
  options.causal = true;
  constexpr int64_t kWorkers = 2;
  const auto tensor = [&](int64_t heads, int64_t t) {
    return View(b.Take(dtype, shape.samples * heads * t * shape.head_dim), heads, t, shape.head_dim);
  };
  const auto queries = [&] { return tensor(shape.heads, shape.queries); };
  const auto keys = [&] { return tensor(shape.kv_heads, shape.keys); };
  AttentionMask mask;
  mask.kind = AttentionMask::Kind::kAdded;
  mask.data = b.Take<float>(shape.queries * shape.keys);
  mask.query_stride = shape.keys, mask.key_stride = 1;
  float* const log_sum_exp = b.Take<float>(shape.samples * shape.heads * shape.queries);
  if (backward) {
    float* const scratch = b.Take<float>(kWorkers * AttentionBackwardScratchNumel(shape, options));
    AttentionBackward(shape, options, dtype, queries(), keys(), keys(), mask, queries(), log_sum_exp, queries(),
                      {queries(), keys(), keys()}, scratch, kWorkers);
  } else {
    float* const scratch = b.Take<float>(kWorkers * AttentionForwardScratchNumel(shape, options));
    AttentionForward(shape, options, dtype, queries(), keys(), keys(), mask, queries(), log_sum_exp, scratch, kWorkers);
  }
}

Conv2dShape ConvShape(int64_t stride) {
  Conv2dShape s;
  s.samples = 5, s.rows = 9, s.columns = 11, s.in_channels = 20, s.out_channels = 36;
  s.kernel_rows = s.kernel_columns = 3, s.stride = stride, s.padding = 1;
  return s;
}
int64_t InNumel(const Conv2dShape& s) { return s.samples * s.rows * s.columns * s.in_channels; }
int64_t OutNumel(const Conv2dShape& s) { return s.samples * s.out_rows() * s.out_columns() * s.out_channels; }

// C [m, n] of op(A) [m, k] and op(B) [k, n], rows `apart` elements further apart than they are long.
void RunGemmBf16(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, float beta, DType c, int64_t apart,
                 Buffers& b) {
  const int64_t lda = (ta == Transpose::kYes ? m : k) + apart, ldb = (tb == Transpose::kYes ? k : n) + apart;
  GemmBf16(ta, tb, m, n, k, b.Take<uint16_t>((ta == Transpose::kYes ? k : m) * lda), lda,
           b.Take<uint16_t>((tb == Transpose::kYes ? n : k) * ldb), ldb, beta, b.Take(c, m * (n + apart)), n + apart,
           c);
}

std::vector<Call> Calls() {
  std::vector<Call> calls;
  const auto add = [&](const char* name, std::function<void(Buffers&)> run) { calls.push_back({name, run}); };
  const auto add_both = [&](const std::string& name, void (*run)(DType, Buffers&), bool takes_scratch = false) {
    for (DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      calls.push_back(
          {name + (dtype == DType::kFloat32 ? "_Fp32" : "_Bf16"), [=](Buffers& b) { run(dtype, b); }, takes_scratch});
    }
  };
  const auto reduce = [](DType dtype) {
    return [=](Buffers& b) {
      ReduceInOrder(Reduction::kMean, {b.Take(dtype, kNumel), b.Take(dtype, kNumel)}, b.Take(dtype, kNumel), kNumel,
                    dtype);
    };
  };
  add("ReduceInOrder_Fp32", reduce(DType::kFloat32));
  add("ReduceInOrder_Bf16", reduce(DType::kBFloat16));
  add("ReduceInOrder_Fp16", reduce(DType::kFloat16));
  add("SumInOrder",
      [](Buffers& b) { SumInOrder({b.Take<int64_t>(kNumel)}, b.Take<int64_t>(kNumel), kNumel, DType::kInt64); });
  add("TopK", [](Buffers& b) { TopK(b.Take<float>(kNumel), kNumel, 7, b.Take<uint32_t>(7), b.Take<float>(7)); });
  add("ClearPlaces", [](Buffers& b) { ClearPlaces(b.Take<uint32_t>(1), 1, b.Take<float>(kNumel)); });
  add("SumPicks", [](Buffers& b) {
    SumPicks({Picks{b.Take<uint32_t>(1), b.Take<float>(1)}}, 1, b.Take<float>(kNumel), kNumel);
  });
  add("NarrowToBf16InPlace", [](Buffers& b) { NarrowToBf16InPlace(b.Take<float>(kNumel), kNumel); });
  add("WidenFromBf16InPlace", [](Buffers& b) { WidenFromBf16InPlace(b.Take<float>(kNumel), 7, kNumel - 7); });
  add("AdamW", [](Buffers& b) {
    AdamW(b.Take<float>(kNumel), b.Take<float>(kNumel), b.Take<float>(kNumel), b.Take<float>(kNumel), kNumel,
          AdamWOptions(), b.Take<uint16_t>(kNumel));
  });
  add("Sgd", [](Buffers& b) {
    Sgd(b.Take<float>(kNumel), b.Take<float>(kNumel), b.Take<float>(kNumel), kNumel, SgdOptions());
  });
  add_both("AttentionForward", [](DType dtype, Buffers& b) { RunAttention(dtype, /*backward=*/false, b); });
  add_both("AttentionBackward", [](DType dtype, Buffers& b) { RunAttention(dtype, /*backward=*/true, b); });
  add("CastFp32ToBf16", [](Buffers& b) { CastFp32ToBf16(b.Take<float>(kNumel), b.Take<uint16_t>(kNumel), kNumel); });
  add("CastBf16ToFp32", [](Buffers& b) { CastBf16ToFp32(b.Take<uint16_t>(kNumel), b.Take<float>(kNumel), kNumel); });
  add("CastFp32ToFp16", [](Buffers& b) { CastFp32ToFp16(b.Take<float>(kNumel), b.Take<uint16_t>(kNumel), kNumel); });
  add("CastFp16ToFp32", [](Buffers& b) { CastFp16ToFp32(b.Take<uint16_t>(kNumel), b.Take<float>(kNumel), kNumel); });
  add("ColumnSumBf16",
      [](Buffers& b) { ColumnSumBf16(b.Take<uint16_t>(70 * 300), 70, 300, /*accumulate=*/true, b.Take<float>(300)); });
  for (int64_t stride : {1, 2}) {
    const Conv2dShape s = ConvShape(stride);
    for (DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      const std::string which = (dtype == DType::kFloat32 ? "_Fp32Stride" : "_Bf16Stride") + std::to_string(stride);
      const auto conv = [&](const std::string& name, std::function<void(Buffers&)> run) {
        calls.push_back({name + which, run, /*takes_scratch=*/true});
      };
      conv("Conv2d", [=](Buffers& b) {
        Conv2d(dtype, s, b.Take(dtype, InNumel(s)), b.Take(dtype, s.weight_numel()), b.Take(dtype, OutNumel(s)));
      });
      conv("Conv2dInputGradient", [=](Buffers& b) {
        Conv2dInputGradient(dtype, s, b.Take(dtype, OutNumel(s)), b.Take(dtype, s.weight_numel()),
                            b.Take(dtype, InNumel(s)));
      });
      conv("Conv2dWeightGradient", [=](Buffers& b) {
        Conv2dWeightGradient(dtype, s, b.Take(dtype, InNumel(s)), b.Take(dtype, OutNumel(s)), /*accumulate=*/true,
                             b.Take<float>(s.weight_numel()));
      });
    }
  }
  add("CrossEntropy", [](Buffers& b) {
    CrossEntropy(b.Take<float>(33 * 1000), b.Take<int64_t>(33), 33, 1000, /*ignored=*/-1, /*with_gradient=*/true);
  });
  add("CrossEntropyBf16Gradient", [](Buffers& b) {
    CrossEntropyBf16Gradient(b.Take<float>(33 * 1000), b.Take<int64_t>(33), 33, 1000, /*ignored=*/-1);
  });
  add_both("Gelu", [](DType dtype, Buffers& b) {
    Gelu(GeluKind::kTanh, dtype, b.Take(dtype, kNumel), kNumel, b.Take(dtype, kNumel));
  });
  add_both("GeluBackward", [](DType dtype, Buffers& b) {
    GeluBackward(GeluKind::kExact, dtype, b.Take(dtype, kNumel), b.Take(dtype, kNumel), kNumel, b.Take(dtype, kNumel));
  });
  const auto gemm = [](int64_t k) {
    return [=](Buffers& b) {
      Gemm(Transpose::kNo, Transpose::kYes, 65, 33, k, b.Take<float>(65 * k), std::max<int64_t>(1, k),
           b.Take<float>(33 * k), std::max<int64_t>(1, k), 0.0f, b.Take<float>(65 * 33), 33);
    };
  };
  add("Gemm", gemm(40));
  add("Gemm_OfNothing", gemm(0));
  constexpr Transpose kNo = Transpose::kNo, kYes = Transpose::kYes;
  // The forms of a linear layer's three products, deep sums into bf16, rows that lie apart, sums of nothing.
  add("GemmBf16_Forward", [](Buffers& b) { RunGemmBf16(kNo, kYes, 384, 512, 256, 0.0f, DType::kBFloat16, 0, b); });
  add("GemmBf16_InputGradient", [](Buffers& b) { RunGemmBf16(kNo, kNo, 384, 256, 512, 0.0f, DType::kBFloat16, 0, b); });
  add("GemmBf16_WeightGradient",
      [](Buffers& b) { RunGemmBf16(kYes, kNo, 512, 256, 384, 1.0f, DType::kFloat32, 0, b); });
  add("GemmBf16_Logits", [](Buffers& b) { RunGemmBf16(kNo, kYes, 96, 5003, 256, 0.0f, DType::kFloat32, 0, b); });
  calls.push_back({"GemmBf16_Deep",
                   [](Buffers& b) { RunGemmBf16(kNo, kNo, 192, 128, 640, 0.0f, DType::kBFloat16, 0, b); },
                   /*takes_scratch=*/true});
  add("GemmBf16_RowsApart", [](Buffers& b) { RunGemmBf16(kNo, kYes, 50, 60, 70, 0.0f, DType::kBFloat16, 3, b); });
  add("GemmBf16_OfNothing", [](Buffers& b) { RunGemmBf16(kNo, kNo, 50, 60, 0, 0.0f, DType::kFloat32, 1, b); });
  add_both(
      "GroupNorm",
      [](DType dtype, Buffers& b) {
        const GroupNormShape s = {5, 50, 24, 4};
        const int64_t numel = s.samples * s.pixels * s.channels;
        GroupNorm(dtype, s, b.Take(dtype, numel), b.Take<float>(24), b.Take<float>(24), 1e-5f, b.Take(dtype, numel),
                  {true, b.Take<uint16_t>(GroupNormMaskNumel(s))}, b.Take(dtype, numel), b.Take<float>(20),
                  b.Take<float>(20));
      },
      /*takes_scratch=*/true);
  add_both(
      "GroupNormBackward",
      [](DType dtype, Buffers& b) {
        const GroupNormShape s = {5, 50, 24, 4};
        const int64_t numel = s.samples * s.pixels * s.channels;
        GroupNormBackward(dtype, s, b.Take(dtype, numel), b.Take(dtype, numel), b.Take<float>(24), b.Take<float>(20),
                          b.Take<float>(20), b.Take<uint16_t>(GroupNormMaskNumel(s)), b.Take(dtype, numel),
                          b.Take(dtype, numel), {b.Take<float>(24), true}, {b.Take<float>(24), false});
      },
      /*takes_scratch=*/true);
  add_both("LayerNorm", [](DType dtype, Buffers& b) {
    LayerNorm(dtype, b.Take(dtype, 70 * 100), b.Take<float>(100), b.Take<float>(100), 70, 100, 1e-5f,
              b.Take(dtype, 70 * 100), b.Take<float>(70), b.Take<float>(70));
  });
  add_both("LayerNormBackward", [](DType dtype, Buffers& b) {
    LayerNormBackward(dtype, b.Take(dtype, 70 * 100), b.Take(dtype, 70 * 100), b.Take<float>(100), b.Take<float>(70),
                      b.Take<float>(70), b.Take(dtype, 70 * 100), 70, 100, b.Take(dtype, 70 * 100),
                      {b.Take<float>(100), true}, {b.Take<float>(100), false},
                      b.Take<float>(LayerNormScratchNumel(70, 100)));
  });
  add_both("RmsNorm", [](DType dtype, Buffers& b) {
    RmsNorm(dtype, b.Take(dtype, 70 * 100), b.Take<float>(100), 70, 100, 1e-5f, b.Take(dtype, 70 * 100),
            b.Take<float>(70));
  });
  add_both("RmsNormBackward", [](DType dtype, Buffers& b) {
    RmsNormBackward(dtype, b.Take(dtype, 70 * 100), b.Take(dtype, 70 * 100), b.Take<float>(100), b.Take<float>(70),
                    b.Take(dtype, 70 * 100), 70, 100, b.Take(dtype, 70 * 100), {b.Take<float>(100), true},
                    b.Take<float>(RmsNormScratchNumel(70, 100)));
  });
  add("SumOfSquares", [](Buffers& b) { SumOfSquares(b.Take<float>(kNumel), kNumel); });
  add("SumOfSquaresBf16", [](Buffers& b) { SumOfSquaresBf16(b.Take<uint16_t>(kNumel), kNumel); });
  add("FillNormal", [](Buffers& b) { FillNormal(b.Take<float>(kNumel), kNumel, 1, 0, 0.0f, 1.0f); });
  add("FillUniform", [](Buffers& b) { FillUniform(b.Take<float>(kNumel), kNumel, 1, 0, 0.0f, 1.0f); });
  add("Dropout", [](Buffers& b) { Dropout(b.Take<float>(kNumel), b.Take<float>(kNumel), kNumel, 1, 0.5f); });
  add("Dropout_OfAll", [](Buffers& b) { Dropout(b.Take<float>(kNumel), b.Take<float>(kNumel), kNumel, 1, 1.0f); });
  add_both("Relu", [](DType dtype, Buffers& b) {
    Relu(dtype, b.Take(dtype, kNumel), kNumel, b.Take(dtype, kNumel), b.Take<uint8_t>(ReluMaskBytes(kNumel)));
  });
  add_both("ReluBackward", [](DType dtype, Buffers& b) {
    ReluBackward(dtype, b.Take<uint8_t>(ReluMaskBytes(kNumel)), b.Take(dtype, kNumel), kNumel, b.Take(dtype, kNumel));
  });
  add_both("Rotary", [](DType dtype, Buffers& b) {
    const RotaryShape s = {2, 30, 100, 3, 16};
    Rotary(dtype, s, b.Take<float>(30 * 8), b.Take<float>(30 * 8), /*inverse=*/false, b.Take(dtype, 6000),
           b.Take(dtype, 6000));
  });
  add_both("SwiGlu",
           [](DType dtype, Buffers& b) { SwiGlu(dtype, b.Take(dtype, 70 * 200), 70, 100, b.Take(dtype, 70 * 100)); });
  add_both("SwiGluBackward", [](DType dtype, Buffers& b) {
    SwiGluBackward(dtype, b.Take(dtype, 70 * 200), b.Take(dtype, 70 * 100), 70, 100, b.Take(dtype, 70 * 200));
  });
  return calls;
}

class DryCallTest : public testing::TestWithParam<Call> {};

// The dry call comes first: what it takes must not hang on what a real one left behind.
TEST_P(DryCallTest, TouchesNothingAndTakesTheScratchOfTheRealCall) {
  const Machine restore;
  const ScratchRecord scratch;
  for (int threads : {1, 2}) {
    at::set_num_threads(threads);
    const auto run_dry = [&] {
      const DryScope dry;
      Buffers nowhere(/*real=*/false);
      GetParam().run(nowhere);
      return scratch.Taken();
    };
    const std::vector<int64_t> before = run_dry();
    Buffers buffers(/*real=*/true);
    GetParam().run(buffers);
    const std::vector<int64_t> real = scratch.Taken();
    EXPECT_EQ(before, real) << threads << " threads";
    EXPECT_EQ(run_dry(), real) << threads << " threads, after the real call";
    EXPECT_TRUE(!real.empty() || !GetParam().takes_scratch) << threads << " threads";
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, DryCallTest, testing::ValuesIn(Calls()),
                         [](const auto& info) { return info.param.name; });

// Functions without buffers: numbers of elements, workers, threads and FLOPs, the process's settings. ParallelFor's
// body is its caller's, who asks Dry(); one bf16 value is no buffer.
const std::set<std::string>& NeedsNoRow() {
  static const auto& names = *new std::set<std::string>{"AttentionForwardScratchNumel",
                                                        "AttentionBackwardScratchNumel",
                                                        "AttentionForwardMaxWorkers",
                                                        "AttentionBackwardMaxWorkers",
                                                        "LayerNormScratchNumel",
                                                        "RmsNormScratchNumel",
                                                        "GroupNormMaskNumel",
                                                        "ReluMaskBytes",
                                                        "NormBlockRows",
                                                        "NormBlocks",
                                                        "ParallelFor",
                                                        "ParallelThreads",
                                                        "CountedGemmFlops",
                                                        "GemmLibraryVersion",
                                                        "SetScratchFunctions",
                                                        "ReductionName",
                                                        "Bf16ToFp32",
                                                        "Fp32ToBf16",
                                                        "PackingBytes",
                                                        "LargestPackingBytes",
                                                        "ResetLargestPackingBytes",
                                                        "NotePacking",
                                                        "KeepHeapHolesWhole",
                                                        "Dry"};
  return names;
}

// Reads the headers beside this file: in bazel's runfiles, or in the repository when it is run from its root.
TEST(DryTest, EveryPublicFunctionHasARow) {
  const std::regex private_header("(.*-inl|.*_unit|.*_internal|.*test_util|benchmark_util|highway_targets)\\.h");
  const std::regex function("^(?:(?:inline|constexpr|const) )*[A-Za-z_][A-Za-z0-9_:<>]*[*&]? ([A-Z][A-Za-z0-9]*)\\(");
  std::set<std::string> rows;
  for (const Call& call : Calls()) rows.insert(call.name.substr(0, call.name.find('_')));
  std::set<std::string> declared;
  ASSERT_TRUE(std::filesystem::is_directory("kernels")) << "run it from the repository's root";
  for (const auto& entry : std::filesystem::directory_iterator("kernels")) {
    const std::string name = entry.path().filename();
    if (entry.path().extension() != ".h" || std::regex_match(name, private_header)) continue;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      std::smatch match;
      if (!std::regex_search(line, match, function)) continue;
      declared.insert(match[1]);
      EXPECT_TRUE(rows.count(match[1]) + NeedsNoRow().count(match[1]) == 1) << name << ": " << match[1];
    }
  }
  for (const std::string& row : rows) EXPECT_TRUE(declared.count(row) == 1) << row << " is in no header";
}

TEST(DryTest, LossesAndNormsAreZero) {
  const DryScope dry;
  Buffers b(/*real=*/false);
  EXPECT_EQ(CrossEntropy(b.Take<float>(20), b.Take<int64_t>(2), 2, 10, -1, false), 0.0);
  EXPECT_EQ(CrossEntropyBf16Gradient(b.Take<float>(20), b.Take<int64_t>(2), 2, 10, -1), 0.0);
  EXPECT_EQ(SumOfSquares(b.Take<float>(20), 20).sum_of_squares, 0.0);
  EXPECT_EQ(SumOfSquaresBf16(b.Take<uint16_t>(20), 20).non_finite, 0);
}

TEST(DryTest, ProductsAreCounted) {
  const DryScope dry;
  Buffers b(/*real=*/false);
  const GemmFlops before = CountedGemmFlops();
  Gemm(Transpose::kNo, Transpose::kNo, 2, 3, 5, b.Take<float>(10), 5, b.Take<float>(15), 3, 0.0f, b.Take<float>(6), 3);
  RunGemmBf16(Transpose::kNo, Transpose::kNo, 7, 3, 5, 0.0f, DType::kBFloat16, 0, b);
  EXPECT_EQ(CountedGemmFlops().fp32 - before.fp32, 2 * 2 * 3 * 5);
  EXPECT_EQ(CountedGemmFlops().bf16 - before.bf16, 2 * 7 * 3 * 5);
}

TEST(DryTest, AProductThatOnlyADryRunAskedForIsComputedLater) {
  const auto multiply = [](const uint16_t* a, const uint16_t* b, float* c) {
    GemmBf16(Transpose::kNo, Transpose::kNo, 13, 19, 31, a, 31, b, 19, 0.0f, c, 19, DType::kFloat32);
  };
  {
    const DryScope dry;
    Buffers b(/*real=*/false);
    multiply(b.Take<uint16_t>(13 * 31), b.Take<uint16_t>(31 * 19), b.Take<float>(13 * 19));
  }
  const std::vector<uint16_t> a(13 * 31, 0x3f80), b(31 * 19, 0x3f80);  // ones
  std::vector<float> c(13 * 19, -1.0f);
  multiply(a.data(), b.data(), c.data());
  for (float value : c) ASSERT_EQ(value, 31.0f);
}

TEST(DryTest, ScopesNestAndAreOfTheirThread) {
  EXPECT_FALSE(Dry());
  {
    const DryScope dry;
    EXPECT_TRUE(Dry());
    {
      const DryScope again;
      EXPECT_TRUE(Dry());
      const DryScope real(false);
      EXPECT_FALSE(Dry());
    }
    EXPECT_TRUE(Dry());
    bool other = true;
    std::thread([&] { other = Dry(); }).join();
    EXPECT_FALSE(other);
  }
  EXPECT_FALSE(Dry());
}

TEST(DryDeathTest, ArgumentsAreCheckedAsEver) {
  const DryScope dry;
  Buffers b(/*real=*/false);
  void* const x = b.Take(DType::kInt64, 10);
  EXPECT_DEATH(Gelu(GeluKind::kTanh, DType::kInt64, x, 10, x), "GELU of");
  EXPECT_DEATH(GemmBf16(Transpose::kNo, Transpose::kNo, 1, 1, 1, x, 1, x, 1, 1.0f, x, 1, DType::kBFloat16), "beta 1");
}

}  // namespace
}  // namespace stowage::kernels
