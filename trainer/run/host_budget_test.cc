#include "trainer/run/host_budget.h"

#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "memory/counting_allocator.h"
#include "trainer/run/process.h"

namespace stowage {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kGiB = int64_t{1} << 30;

MachineMemory Machine(std::vector<MemoryBound> limits) {
  MachineMemory memory{24 * kGiB, 20 * kGiB, std::move(limits), {}};
  memory.bounds.push_back({24 * kGiB, "machine's memory (MemTotal)", false, false});
  return memory;
}

BudgetValue Bytes(int64_t bytes) { return {BudgetValue::Kind::kBytes, bytes, 0.0}; }
BudgetValue Percent(double percent) { return {BudgetValue::Kind::kPercent, 0, percent}; }

TEST(ResolveHostBudgetTest, BytesAreThemselves) {
  const ResolvedHostBudget resolved = ResolveHostBudget(Bytes(600 * kMiB), Machine({}), 2);
  EXPECT_EQ(resolved.bytes, 600 * kMiB);
  EXPECT_EQ(resolved.source, "memory.host: 600MiB");
  EXPECT_THAT(resolved.warnings, IsEmpty());
}

TEST(ResolveHostBudgetTest, AShareIsOfWhatThisRankMayUse) {
  const ResolvedHostBudget whole = ResolveHostBudget(Percent(50), Machine({}), 2);
  EXPECT_EQ(whole.bytes, 6 * kGiB);
  EXPECT_EQ(whole.source, "memory.host: 50% (6 GiB a rank, of half of 24 GiB, the machine's memory (MemTotal))");
  const ResolvedHostBudget limited = ResolveHostBudget(Percent(12.5), Machine({{8 * kGiB, "cgroup limit /x"}}), 4);
  EXPECT_EQ(limited.bytes, 256 * kMiB);
  EXPECT_EQ(limited.source, "memory.host: 12.5% (256 MiB a rank, of 1/4 of 8 GiB, the cgroup limit /x)");
}

TEST(ResolveHostBudgetTest, AutoIsABoundWhereTheSystemHasOne) {
  const ResolvedHostBudget none = ResolveHostBudget(BudgetValue(), Machine({}), 2);
  EXPECT_FALSE(none.bytes.has_value());
  EXPECT_THAT(none.source, HasSubstr("no bound"));
  const ResolvedHostBudget bound = ResolveHostBudget(BudgetValue(), Machine({{8 * kGiB, "cgroup limit /x"}}), 2);
  EXPECT_EQ(bound.bytes, 4 * kGiB);
  EXPECT_EQ(bound.source, "memory.host: auto (4 GiB a rank: half of 8 GiB, the cgroup limit /x)");
  EXPECT_THAT(bound.warnings, IsEmpty());
}

TEST(ResolveHostBudgetTest, MoreThanTheMachineHasIsWarnedOfWithTheNumber) {
  EXPECT_THAT(ResolveHostBudget(Bytes(100 * kGiB), Machine({}), 1).warnings,
              ElementsAre(AllOf(HasSubstr("memory.host: 100GiB is more than this rank may use: 24 GiB"),
                                HasSubstr("MemTotal"))));
  EXPECT_THAT(ResolveHostBudget(Bytes(13 * kGiB), Machine({}), 2).warnings,
              ElementsAre(HasSubstr("12 GiB (half of 24 GiB")));
  // There, but held by others now.
  EXPECT_THAT(ResolveHostBudget(Bytes(11 * kGiB), Machine({}), 2).warnings,
              ElementsAre(AllOf(HasSubstr("for each of 2 ranks"), HasSubstr("only 20 GiB"))));
}

class HostBudgetTest : public testing::Test {
 protected:
  HostBudgetTest() { EXPECT_TRUE(SetUpProcess(1).ok()); }

  static absl::StatusOr<std::shared_ptr<HostBudget>> Acquire(const BudgetValue& host, int ranks_in_process = 1) {
    MemoryConfig memory;
    memory.host = host;
    return HostBudget::Acquire(memory, Placement(), ranks_in_process);
  }
};

TEST_F(HostBudgetTest, ATensorOverTheBudgetIsRefusedByATypedErrorAndTheNextThatFitsIsNot) {
  auto budget = Acquire(Bytes(2 * kGiB));
  ASSERT_TRUE(budget.ok()) << budget.status();
  try {
    at::empty({3 * kGiB}, at::kByte);
    FAIL() << "3 GiB fit into 2 GiB";
  } catch (const c10::OutOfMemoryError& error) {
    EXPECT_THAT(
        std::string(error.what_without_backtrace()),
        AllOf(HasSubstr("memory.host: 2GiB has no room for 3 GiB of workspace"), HasSubstr("raise memory.host")));
  }
  EXPECT_EQ(at::empty({kMiB}, at::kByte).numel(), kMiB);
  budget->reset();
  EXPECT_EQ(at::empty({3 * kGiB}, at::kByte).numel(), 3 * kGiB) << "never written; without a budget it is nobody's";
}

TEST_F(HostBudgetTest, LessThanTheProcessHoldsIsRefusedAtOnce) {
  const auto budget = Acquire(Bytes(16 * kMiB));
  EXPECT_EQ(budget.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(budget.status().message()), HasSubstr("less than the process holds before it begins"));
}

TEST_F(HostBudgetTest, AProcessHasOneBudgetThatItsRanksShare) {
  const auto first = Acquire(Bytes(2 * kGiB), 2);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ((*first)->budget()->bytes(), 4 * kGiB);
  const auto second = Acquire(Bytes(2 * kGiB), 2);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(*first, *second);
  EXPECT_EQ(Acquire(Bytes(3 * kGiB)).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace stowage
