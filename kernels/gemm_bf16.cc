// bf16 products: oneDNN's matmul primitive with the strides as they come, and blocks of fp32 products where it has
// none.
#include <omp.h>
#include <sys/mman.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <new>
#include <oneapi/dnnl/dnnl.hpp>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/strings/match.h"
#include "base/check.h"
#include "kernels/bf16.h"
#include "kernels/dry.h"
#include "kernels/gemm.h"
#include "kernels/gemm_internal.h"
#include "kernels/scratch.h"

// LibTorch's headers carry those of another oneDNN, under the same names: this target must not depend on LibTorch.
static_assert(DNNL_VERSION_MAJOR == 2, "not the oneDNN that is linked");

namespace stowage::kernels {
namespace {

// All that a primitive depends on. oneDNN splits the work when a primitive is made, so the thread count is part of it.
struct Key {
  bool transpose_a, transpose_b, accumulate;
  DType c_dtype;
  int threads;
  int64_t m, n, k, lda, ldb, ldc;

  auto Tie() const { return std::tie(transpose_a, transpose_b, accumulate, c_dtype, threads, m, n, k, lda, ldb, ldc); }
  bool operator==(const Key& other) const { return Tie() == other.Tie(); }
  template <typename H>
  friend H AbslHashValue(H h, const Key& key) {
    return H::combine(std::move(h), key.Tie());
  }
};

// Shared between threads: none of it changes once made, and scratch memory is the caller's.
struct Product {
  dnnl::memory::desc a, b, c, scratch;
  dnnl::matmul primitive;  // none where only a dry run asked: what it would take is known before it is compiled
};

const dnnl::engine& Engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::memory::desc Matrix(int64_t rows, int64_t columns, dnnl::memory::data_type dtype, bool transposed, int64_t ld) {
  const dnnl::memory::dims strides = transposed ? dnnl::memory::dims{1, ld} : dnnl::memory::dims{ld, 1};
  return dnnl::memory::desc({rows, columns}, dtype, strides);
}

// oneDNN's order of preference is brgemm, then its older gemm. On AVX-512 the older one is the faster where C is fp32
// (measured on an AMD Zen 5, one thread, GPT-2 124M with 1024 rows: a weight's gradient 365 to 390 GFLOP/s against 270
// to 320, logits 410 against 380) and, into bf16, for deep sums with B as it is (390 to 405 against 315 to 370). For
// bf16 it keeps C in fp32 first, as scratch memory: that is where `kMostScratchBytes` comes in. With AMX brgemm stays:
// only it uses that.
constexpr char kBrgemmWithoutAmx[] = "brg:avx512_core_bf16";
constexpr char kGemm[] = "gemm:jit";
constexpr size_t kMostScratchBytes = size_t{16} << 20;

bool GemmMayBeFaster(const Key& key) { return key.c_dtype == DType::kFloat32 || (!key.transpose_b && key.k > key.n); }

dnnl::matmul::primitive_desc Choose(const Key& key, const dnnl::matmul::desc& description,
                                    const dnnl::primitive_attr& attributes) {
  dnnl::matmul::primitive_desc first(description, attributes, Engine());
  if (first.impl_info_str() != absl::string_view(kBrgemmWithoutAmx) || !GemmMayBeFaster(key)) return first;
  dnnl::matmul::primitive_desc other(description, attributes, Engine());
  while (other.next_impl()) {
    if (other.impl_info_str() != absl::string_view(kGemm)) continue;
    return other.scratchpad_desc().get_size() <= kMostScratchBytes ? other : first;
  }
  return first;
}

// oneDNN 2.6 writes the code that it makes to wherever mmap points, also where mmap said that there is no room (under
// `ulimit -d` or -v), which ends the process. So it is asked first: for more than a product's kernels take.
void CheckRoomForCode() {
  constexpr size_t kCodeBytes = size_t{16} << 20;
  void* const room = mmap(nullptr, kCodeBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) throw std::bad_alloc();
  munmap(room, kCodeBytes);
}

// Null if oneDNN has nothing better than plain loops for it on this CPU (it has bf16 from AVX-512 on, emulated where
// the instructions lack).
std::shared_ptr<const Product> MakeProduct(const Key& key) {
  using DataType = dnnl::memory::data_type;
  auto product = std::make_shared<Product>();
  product->a = Matrix(key.m, key.k, DataType::bf16, key.transpose_a, key.lda);
  product->b = Matrix(key.k, key.n, DataType::bf16, key.transpose_b, key.ldb);
  product->c = Matrix(key.m, key.n, key.c_dtype == DType::kFloat32 ? DataType::f32 : DataType::bf16, false, key.ldc);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (key.accumulate) {
    dnnl::post_ops sum;
    sum.append_sum(1.0f);
    attributes.set_post_ops(sum);
  }
  // Inside a parallel region the primitive runs on one thread, and must be made for one.
  const int threads_before = omp_get_max_threads();
  omp_set_num_threads(key.threads);
  bool made = false, memory = true;
  try {
    // A name of its own: oneDNN 2.6 goes on reading it as long as it looks for implementations.
    const dnnl::matmul::desc matmul(product->a, product->b, product->c);
    const dnnl::matmul::primitive_desc chosen = Choose(key, matmul, attributes);
    if (!absl::StartsWith(chosen.impl_info_str(), "ref")) {
      product->scratch = chosen.scratchpad_desc();
      if (!Dry()) {
        CheckRoomForCode();
        product->primitive = dnnl::matmul(chosen);
      }
      made = true;
    }
  } catch (const std::bad_alloc&) {
    memory = false;
  } catch (const dnnl::error& error) {
    // Two answers are none of our doing: a product that this CPU has no implementation of (the caller has another way;
    // gone when oneDNN has one for every CPU), and no memory. Any other is a wrong call.
    memory = error.status != dnnl_out_of_memory;
    const bool implemented = error.status != dnnl_unimplemented;
    STOWAGE_CHECK(!implemented || !memory)
        << "oneDNN matmul: " << error.what() << " (" << error.status << "), m " << key.m << " n " << key.n << " k "
        << key.k << " lda " << key.lda << " ldb " << key.ldb << " ldc " << key.ldc;
  }
  omp_set_num_threads(threads_before);
  if (!memory) throw std::bad_alloc();
  return made ? product : nullptr;
}

// Making a primitive takes 0.2 to 3 ms (it is compiled), finding one well below a microsecond. A training step has some
// tens of shapes; the bound is for those who come with ever new ones, such as a text that grows.
constexpr size_t kMostCached = 1024;

class ProductCache {
 public:
  std::shared_ptr<const Product> Find(const Key& key) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = products_.find(key);
    if (found != products_.end()) {
      const std::shared_ptr<const Product>& product = found->second;
      if (product == nullptr || product->primitive || Dry()) return product;
    } else if (products_.size() == kMostCached) {
      products_.clear();
    }
    return products_[key] = MakeProduct(key);
  }

 private:
  std::mutex mutex_;
  std::unordered_map<Key, std::shared_ptr<const Product>, absl::Hash<Key>> products_;
};

void Run(const Product& product, const void* a, const void* b, void* c) {
  const dnnl::engine& engine = Engine();
  dnnl::stream stream(engine);
  // What oneDNN packs into: brgemm's 0.1 to 3 MiB at a GPT's shapes, and up to kMostScratchBytes for its gemm, except
  // where rows lie apart: brgemm does not take those, and so there is no choice.
  const Scratch scratch(product.scratch.get_size());
  if (Dry()) return;
  product.primitive.execute(stream, {{DNNL_ARG_SRC, dnnl::memory(product.a, engine, const_cast<void*>(a))},
                                     {DNNL_ARG_WEIGHTS, dnnl::memory(product.b, engine, const_cast<void*>(b))},
                                     {DNNL_ARG_DST, dnnl::memory(product.c, engine, c)},
                                     {DNNL_ARG_SCRATCHPAD, dnnl::memory(product.scratch, engine, scratch.data())}});
  stream.wait();
}

// fp32 copies of blocks, fp32 products of those. A product of two bf16 is exact in fp32: the bits differ from the
// primitive's by the order of sums alone. Blocks of 1 to 2 MiB: the copies are read often while they are in a cache.
constexpr int64_t kBlockRows = 512;
constexpr int64_t kBlockDepth = 1024;

const uint16_t* Element(const void* matrix, bool transposed, int64_t ld, int64_t row, int64_t column) {
  return static_cast<const uint16_t*>(matrix) + (transposed ? column * ld + row : row * ld + column);
}

void CastBlock(const uint16_t* from, int64_t ld, int64_t rows, int64_t columns, float* to) {
  for (int64_t row = 0; row < rows; ++row) {
    std::transform(from + row * ld, from + row * ld + columns, to + row * columns, Bf16ToFp32);
  }
}

void BlockedProduct(const Key& key, const void* a, const void* b, void* c) {
  std::vector<float> a_block(kBlockRows * kBlockDepth), b_block(kBlockDepth * kBlockRows), c_block;
  if (key.c_dtype == DType::kBFloat16) c_block.resize(kBlockRows * kBlockRows);
  for (int64_t row = 0; row < key.m; row += kBlockRows) {
    const int64_t rows = std::min(kBlockRows, key.m - row);
    for (int64_t column = 0; column < key.n; column += kBlockRows) {
      const int64_t columns = std::min(kBlockRows, key.n - column);
      const int64_t at = row * key.ldc + column;
      float* to = c_block.empty() ? static_cast<float*>(c) + at : c_block.data();
      const int64_t ld = c_block.empty() ? key.ldc : columns;
      for (int64_t depth = 0; depth < key.k; depth += kBlockDepth) {
        const int64_t depths = std::min(kBlockDepth, key.k - depth);
        const int64_t a_rows = key.transpose_a ? depths : rows, a_columns = key.transpose_a ? rows : depths;
        const int64_t b_rows = key.transpose_b ? columns : depths, b_columns = key.transpose_b ? depths : columns;
        CastBlock(Element(a, key.transpose_a, key.lda, row, depth), key.lda, a_rows, a_columns, a_block.data());
        CastBlock(Element(b, key.transpose_b, key.ldb, depth, column), key.ldb, b_rows, b_columns, b_block.data());
        UncountedGemm(static_cast<Transpose>(key.transpose_a), static_cast<Transpose>(key.transpose_b), rows, columns,
                      depths, a_block.data(), a_columns, b_block.data(), b_columns,
                      key.accumulate || depth > 0 ? 1.0f : 0.0f, to, ld);
      }
      if (c_block.empty()) continue;
      for (int64_t i = 0; i < rows; ++i) {
        std::transform(to + i * ld, to + i * ld + columns, static_cast<uint16_t*>(c) + at + i * key.ldc, Fp32ToBf16);
      }
    }
  }
}

}  // namespace

void GemmBf16(Transpose transpose_a, Transpose transpose_b, int64_t m, int64_t n, int64_t k, const void* a, int64_t lda,
              const void* b, int64_t ldb, float beta, void* c, int64_t ldc, DType c_dtype) {
  STOWAGE_CHECK((c_dtype == DType::kFloat32 && (beta == 0.0f || beta == 1.0f)) ||
                (c_dtype == DType::kBFloat16 && beta == 0.0f))
      << "beta " << beta << " into " << DTypeName(c_dtype);
  if (m == 0 || n == 0) return;
  CountGemmFlops(DType::kBFloat16, m, n, k);
  if (k == 0) {
    if (Dry() || beta == 1.0f) return;
    const int64_t bytes = DTypeBytes(c_dtype);
    for (int64_t row = 0; row < m; ++row) std::fill_n(static_cast<char*>(c) + row * ldc * bytes, n * bytes, 0);
    return;
  }
  static ProductCache& cache = *new ProductCache;  // never destroyed: a thread may still multiply at exit
  const Key key = {transpose_a == Transpose::kYes,
                   transpose_b == Transpose::kYes,
                   beta == 1.0f,
                   c_dtype,
                   omp_in_parallel() ? 1 : omp_get_max_threads(),
                   m,
                   n,
                   k,
                   lda,
                   ldb,
                   ldc};
  if (const std::shared_ptr<const Product> product = cache.Find(key)) {
    if (!Dry()) BeforeProduct(m, n, k);
    Run(*product, a, b, c);
  } else if (!Dry()) {
    BlockedProduct(key, a, b, c);
  }
}

}  // namespace stowage::kernels
