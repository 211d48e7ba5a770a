#include "sharding/solo_communicator.h"

#include "gtest/gtest.h"
#include "sharding/collective_cases.h"

namespace stowage {
namespace {

TEST(SoloCommunicatorTest, EveryCaseGivesTheSerialReferencesBits) {
  SoloCommunicator solo;
  for (const CollectiveCase& one : CollectiveCases(100003)) EXPECT_EQ(one.run(solo), absl::OkStatus()) << one.name;
  EXPECT_EQ(solo.bytes_sent(), 0);
}

TEST(SoloCommunicatorTest, IsRankZeroOfOne) {
  SoloCommunicator solo;
  EXPECT_EQ(solo.rank(), 0);
  EXPECT_EQ(solo.world_size(), 1);
  EXPECT_EQ(solo.placement().local_size, 1);
  EXPECT_FALSE(solo.placement().host.empty());
}

TEST(SoloCommunicatorTest, CallsAfterAbortFailWithItsCause) {
  SoloCommunicator solo;
  solo.Abort(absl::InternalError("bad page"));
  float data = 1.0f;
  EXPECT_EQ(solo.AllReduce(&data, 1, DType::kFloat32).Wait(), absl::AbortedError("rank 0: bad page"));
  EXPECT_EQ(solo.Barrier(), absl::AbortedError("rank 0: bad page"));
  EXPECT_EQ(solo.ExchangeText("x").status(), absl::AbortedError("rank 0: bad page"));
}

TEST(SoloCommunicatorTest, BadArgumentsAreRefused) {
  SoloCommunicator solo;
  float data[4] = {};
  EXPECT_EQ(solo.AllReduce(data, 4, DType::kUInt8).Wait().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(solo.Send(data, 4, 0).Wait().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(solo.Broadcast(data, 4, 1).Wait().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(solo.ReduceScatter(data, data + 1, 2, DType::kFloat32).Wait().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace stowage
