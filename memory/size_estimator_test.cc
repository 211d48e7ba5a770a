// Estimates beside what was really asked for: operator new of this whole process is counted, and tensors' bytes by the
// ledger.
#include "memory/size_estimator.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/quantize_per_channel.h>
#include <ATen/ops/quantize_per_tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <limits>
#include <new>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "memory/counting_allocator.h"
#include "memory/tensor_size.h"
#include "memory/test_books.h"

namespace {

std::atomic<int64_t> asked_bytes{0};  // of operator new, live
constexpr size_t kHeader = 16;        // keeps malloc's alignment

}  // namespace

void* operator new(size_t bytes) {
  void* block = std::malloc(bytes + kHeader);
  if (block == nullptr) throw std::bad_alloc();
  *static_cast<size_t*>(block) = bytes;
  asked_bytes.fetch_add(static_cast<int64_t>(bytes), std::memory_order_relaxed);
  return static_cast<char*>(block) + kHeader;
}

void operator delete(void* p) noexcept {
  if (p == nullptr) return;
  void* block = static_cast<char*>(p) - kHeader;
  asked_bytes.fetch_sub(static_cast<int64_t>(*static_cast<size_t*>(block)), std::memory_order_relaxed);
  std::free(block);
}

void operator delete(void* p, size_t) noexcept { operator delete(p); }

namespace stowage {
namespace {

int64_t Counted() { return TestBooks().total_live() + asked_bytes.load(); }

// What the value that `make` returns keeps allocated, and what is estimated.
struct Sizes {
  int64_t counted = 0, estimated = 0;
};

template <typename F>
Sizes Measure(const F& make) {
  make();  // types and other things that are made once
  const int64_t before = Counted();
  const auto value = make();
  Sizes sizes;
  sizes.counted = Counted() - before;
  const absl::StatusOr<int64_t> estimated = SizeOf(value);
  EXPECT_TRUE(estimated.ok()) << estimated.status();
  sizes.estimated = estimated.value_or(-1);
  return sizes;
}

template <typename F>
void ExpectExact(const F& make) {
  const Sizes sizes = Measure(make);
  EXPECT_GT(sizes.counted, 0);
  EXPECT_EQ(sizes.estimated, sizes.counted);
}

TEST(SizeEstimatorTest, StringsArraysAndMapsAreExact) {
  ExpectExact([] { return std::string(100, 'x'); });
  ExpectExact([] { return std::vector<std::string>{"short", std::string(1000, 'x'), ""}; });
  ExpectExact([] {
    std::vector<int> grown;
    for (int i = 0; i < 100; ++i) grown.push_back(i);  // its capacity counts
    return grown;
  });
  ExpectExact([] { return std::vector<bool>(1000, true); });
  ExpectExact([] {
    std::map<std::string, std::vector<double>> map;
    for (int i = 0; i < 20; ++i) map[absl::StrCat("a name that is long enough ", i)].resize(i);
    return map;
  });
  ExpectExact([] {
    std::unordered_map<int64_t, std::map<std::string, int>> map;
    for (int i = 0; i < 50; ++i) map[i][std::string(i, 'k')] = i;
    return map;
  });
  ExpectExact([] {
    std::vector<std::unordered_map<std::string, std::optional<std::pair<int, std::string>>>> list(3);
    list[0]["x"] = std::make_pair(1, std::string(50, 'y'));
    list[2]["none"] = std::nullopt;
    return list;
  });
  EXPECT_EQ(*SizeOf(3.5), 0);
  EXPECT_EQ(*SizeOf(std::string("short")), 0);
}

TEST(SizeEstimatorTest, ABlockIsCountedOnceWithItsLongestLength) {
  SizeEstimator size;
  const char block[10] = {};
  EXPECT_TRUE(size.AddBlock(block, 5));
  EXPECT_FALSE(size.AddBlock(block, 10));
  EXPECT_FALSE(size.AddBlock(block, 7));
  EXPECT_EQ(*size.bytes(), 10);
}

TEST(TensorSizeTest, TwoViewsOfOneStorageCountOnce) {
  TestBooks();
  const at::Tensor whole = at::empty({1000, 1000});
  const int64_t one = *SizeOf(whole);
  EXPECT_GE(one, 4000000);
  EXPECT_LT(one, 4001000);
  const at::Tensor top = whole.narrow(0, 0, 10), column = whole.select(1, 3);
  EXPECT_LT(*SizeOf(std::vector<at::Tensor>{whole, top, column, whole.t()}), 4004000);
  EXPECT_GE(*SizeOf(top), 4000000) << "a view holds its whole storage";
  EXPECT_GE(*SizeOf(std::vector<at::Tensor>{whole, whole.clone()}), 8000000);
  float mine[100];
  const at::Tensor a = at::from_blob(mine, {100}), b = at::from_blob(mine, {50});
  EXPECT_LT(*SizeOf(std::vector<at::Tensor>{a, b}), 400 + 2000) << "two tensors around one array";
}

TEST(TensorSizeTest, SparseAndQuantisedTensorsAreWithinOnePercent) {
  const auto close = [](const Sizes& sizes) {
    EXPECT_GT(sizes.counted, 30000);
    EXPECT_NEAR(sizes.estimated, sizes.counted, sizes.counted / 100);
  };
  close(Measure([] { return at::eye(2000).narrow(0, 0, 1900).to_sparse(); }));
  close(Measure([] { return at::eye(2000).to_sparse_csr(); }));
  close(Measure([] { return at::eye(2000).to_sparse_csc(); }));
  close(Measure([] { return at::eye(1024).to_sparse_bsr({16, 16}); }));
  close(Measure([] { return at::quantize_per_tensor(at::ones({500, 500}), 0.1, 0, at::kQInt8); }));
  close(Measure([] {
    return at::quantize_per_channel(at::ones({10000, 2}), at::ones({10000}), at::zeros({10000}, at::kLong), 0,
                                    at::kQInt8);
  }));
}

TEST(TensorSizeTest, GradientsBelongToTheirTensor) {
  TestBooks();
  at::Tensor leaf = at::ones({10000}).set_requires_grad(true);
  const int64_t alone = *SizeOf(leaf);
  leaf.mutable_grad() = at::ones({10000});
  EXPECT_NEAR(*SizeOf(leaf), alone + 40000, 400);
}

TEST(TensorSizeTest, WhatHasNoBytesIsZeroAndWhatHidesThemIsRefused) {
  EXPECT_EQ(*SizeOf(at::Tensor()), 0);
  EXPECT_LT(*SizeOf(at::empty({1000}, at::TensorOptions().device(at::kMeta))), 1000);
  const absl::Status hidden = SizeOf(at::ones({4, 4}).to_mkldnn()).status();
  EXPECT_EQ(hidden.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(hidden.message()), testing::HasSubstr("Mkldnn"));
}

// One of endlessly many nested values: what it is follows from the seed.
class Maker {
 public:
  explicit Maker(uint64_t seed) : seed_(seed) {}

  c10::IValue Make(int depth) {
    switch (depth == 0 ? Draw(5) : 5 + Draw(4)) {
      case 0:
        return static_cast<int64_t>(Draw(1000));
      case 1:
        return std::string(Draw(400), 's');
      case 2:
        return Tensor();
      case 3:
        return Tensor().narrow(0, 0, 1);
      case 4:
        return c10::IValue();
      case 5: {
        c10::impl::GenericList list(c10::AnyType::get());
        for (uint64_t i = Draw(6); i-- > 0;) list.push_back(Make(depth - 1));
        return list;
      }
      case 6: {
        c10::impl::GenericDict dict(c10::StringType::get(), c10::AnyType::get());
        for (uint64_t i = Draw(12); i-- > 0;) {
          dict.insert(absl::StrCat("key number ", i, std::string(Draw(30), '.')), Make(depth - 1));
        }
        return dict;
      }
      case 7: {
        std::vector<c10::IValue> elements;
        for (uint64_t i = Draw(6); i-- > 0;) elements.push_back(Make(depth - 1));
        elements.shrink_to_fit();  // LibTorch does not tell a tuple's capacity
        return c10::ivalue::Tuple::create(std::move(elements));
      }
      default: {  // the same thing twice
        const c10::IValue shared = Make(depth - 1);
        return c10::ivalue::Tuple::create(shared, shared);
      }
    }
  }

 private:
  uint64_t Draw(uint64_t below) { return HashKey({seed_, drawn_++}) % below; }

  at::Tensor Tensor() {
    static constexpr at::ScalarType kTypes[] = {at::kFloat, at::kBFloat16, at::kLong, at::kByte};
    const int64_t rows = 1 + static_cast<int64_t>(Draw(40));
    return at::zeros({rows, 1 + static_cast<int64_t>(Draw(2000))}, kTypes[Draw(4)]);
  }

  const uint64_t seed_;
  uint64_t drawn_ = 0;
};

TEST(TensorSizeTest, FiftyNestedValuesAreWithinOnePercentOfWhatWasCounted) {
  int large = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const Sizes sizes = Measure([seed] { return Maker(seed).Make(1 + static_cast<int>(seed % 4)); });
    EXPECT_NEAR(static_cast<double>(sizes.estimated), static_cast<double>(sizes.counted), 0.01 * sizes.counted)
        << "seed " << seed;
    large += sizes.counted > 100000;
  }
  EXPECT_GT(large, 20);
}

TEST(TensorSizeTest, ListsThatShareAndContainThemselvesEnd) {
  c10::impl::GenericList list(c10::AnyType::get());
  const c10::IValue text(std::string(1000, 'x'));
  for (int i = 0; i < 10; ++i) list.push_back(text);
  const int64_t bytes = *SizeOf(c10::IValue(list));
  EXPECT_GT(bytes, 1000);
  EXPECT_LT(bytes, 2000);
  list.push_back(list);
  EXPECT_LT(*SizeOf(c10::IValue(list)), 2500);
  list.clear();  // or it would never be freed
}

TEST(TensorSizeTest, DepthIsNoLimit) {
  c10::IValue value(int64_t{1});
  constexpr int kDepth = 10000;
  for (int i = 0; i < kDepth; ++i) value = c10::ivalue::Tuple::create(value);
  EXPECT_EQ(*SizeOf(value), static_cast<int64_t>(kDepth * sizeof(c10::ivalue::Tuple)));
}

TEST(TensorSizeTest, AnIValueOfAnotherKindIsRefused) {
  const c10::IValue future(c10::make_intrusive<c10::ivalue::Future>(c10::IntType::get()));
  const absl::Status status = SizeOf(future).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("Future"));
}

}  // namespace
}  // namespace stowage
