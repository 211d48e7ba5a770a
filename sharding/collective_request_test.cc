#include "sharding/collective_request.h"

#include "gtest/gtest.h"

namespace stowage {
namespace {

TEST(CutTest, PartsCoverTheWholeOnceInOrderWhateverTheNumbers) {
  for (int64_t numel : {0, 1, 7, 8, 9, 1000003}) {
    for (int parts : {1, 2, 3, 8, 13}) {
      const Cut cut(numel, parts);
      int64_t end = 0;
      for (int part = 0; part < parts; ++part) {
        EXPECT_EQ(cut.begin(part), end);
        EXPECT_GE(cut.size(part), 0);
        EXPECT_LE(cut.size(part), cut.part_numel);
        end += cut.size(part);
      }
      EXPECT_EQ(end, numel) << numel << " over " << parts;
    }
  }
}

TEST(CollectiveRequestTest, InPlaceIsThisRanksPartAndNoOther) {
  float whole[30] = {};
  CollectiveRequest request = {CollectiveKind::kReduceScatter, whole, whole + 10, 10, DType::kFloat32};
  EXPECT_TRUE(CheckRequest(request, 1, 3).ok());
  EXPECT_EQ(CheckRequest(request, 0, 3).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckRequest(request, 2, 3).code(), absl::StatusCode::kInvalidArgument);
}

TEST(CollectiveRequestTest, MessagesNameTheCall) {
  const CollectiveRequest request = {CollectiveKind::kAllReduce, nullptr, nullptr, 10, DType::kFloat16};
  EXPECT_EQ(request.ToString(), "all_reduce of 10 F16");
  EXPECT_EQ(CheckRequest(request, 0, 1).message(), "all_reduce of 10 F16: null buffer");
}

}  // namespace
}  // namespace stowage
