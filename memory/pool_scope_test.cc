#include "memory/pool_scope.h"

#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <memory>

#include "memory/pool/pool.h"
#include "memory/system_source.h"
#include "memory/test_books.h"

namespace stowage {
namespace {

class PoolScopeTest : public testing::Test {
 protected:
  PoolScopeTest() { TestBooks(); }
  static at::Tensor Make(int value) { return at::full({1000}, value, at::kInt); }
  static bool Pooled(const at::Tensor& tensor) { return InstalledPool()->Contains(tensor.data_ptr()); }
};

TEST_F(PoolScopeTest, NestingRestoresWhatWasBefore) {
  SystemSource system;
  const auto other = *Pool::Create(PoolOptions());
  EXPECT_TRUE(Pooled(Make(0)));
  {
    PoolScope without(&system);
    EXPECT_FALSE(Pooled(Make(0)));
    {
      PoolScope in_other(other.get());
      const at::Tensor tensor = Make(0);
      EXPECT_TRUE(other->Contains(tensor.data_ptr()));
      PoolScope installed(nullptr);
      EXPECT_TRUE(Pooled(Make(0)));
    }
    EXPECT_FALSE(Pooled(Make(0)));
  }
  EXPECT_TRUE(Pooled(Make(0)));
}

TEST_F(PoolScopeTest, TensorsLiveAcrossItsEndsAndGoBackWhereTheyCameFrom) {
  static SystemSource system;
  at::Tensor before = Make(1), inside;
  const int64_t live = InstalledPool()->Statistics().live;
  {
    PoolScope without(&system);
    inside = Make(2);
    EXPECT_EQ(before.data_ptr<int>()[999], 1);
    before.reset();  // of the pool, freed while it is off
  }
  EXPECT_FALSE(Pooled(inside));
  EXPECT_EQ(inside.data_ptr<int>()[999], 2);
  inside.reset();  // of the system, freed while the pool is on
  EXPECT_LE(InstalledPool()->Statistics().live, live);
}

}  // namespace
}  // namespace stowage
