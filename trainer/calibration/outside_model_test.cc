#include "trainer/calibration/outside_model.h"

#include <map>
#include <string>

#include "gtest/gtest.h"
#include "trainer/calibration/test_machine.h"

namespace stowage {
namespace {

FoundMachine Made(Source source = Source::kMeasured) {
  FoundMachine machine;
  machine.file = MadeUpMachine();
  machine.source = source;
  return machine;
}

OutsideQuery Plain() {
  OutsideQuery query;
  query.precision = "fp32";
  return query;
}

std::map<std::string, OutsidePrediction> ByName(const OutsideQuery& query, const FoundMachine& machine = Made()) {
  std::map<std::string, OutsidePrediction> lines;
  for (const OutsidePrediction& line : PredictOutside(machine, query)) lines[line.name] = line;
  return lines;
}

TEST(OutsideModelTest, WhatWasMeasuredForTheKindIsTakenAsItIs) {
  const auto lines = ByName(Plain());
  EXPECT_EQ(lines.at("libraries").bytes, 80 * kTestMiB);
  EXPECT_EQ(lines.at("libraries").source, Source::kMeasured);
  EXPECT_EQ(lines.at("libraries").text, "libraries' code and data");
  EXPECT_EQ(lines.at("margin").source, Source::kEstimated);
  EXPECT_EQ(lines.count("mkl_buffers"), 0u);  // none measured: left out, not 0
  OutsideQuery recurrent = Plain();
  recurrent.recurrent = true;
  EXPECT_EQ(ByName(recurrent).at("libraries").bytes, 90 * kTestMiB);
}

TEST(OutsideModelTest, ACaseThatWasNotMeasuredIsAnEstimateFromTheNearest) {
  OutsideQuery query = Plain();
  query.recurrent = true;
  query.precision = "bf16";
  EXPECT_EQ(ByName(query).at("libraries").bytes, 90 * kTestMiB);
  EXPECT_EQ(ByName(query).at("libraries").source, Source::kEstimated);
}

TEST(OutsideModelTest, OfAnotherMachineAllAreEstimates) {
  for (const auto& [name, line] : ByName(Plain(), Made(Source::kEstimated))) {
    EXPECT_EQ(line.source, Source::kEstimated) << name;
  }
}

TEST(OutsideModelTest, WhatReductionsReceiveIntoIsAddedAndBounded) {
  OutsideQuery query = Plain();
  query.ranks_on_host = 2;
  const auto heap = [&] { return ByName(query).at("heap").bytes; };
  const int64_t without = heap();
  query.part_bytes = kTestMiB;
  EXPECT_EQ(heap() - without, kTestMiB);
  query.part_bytes = 100 * kTestMiB;
  EXPECT_EQ(heap() - without, 4 * kTestMiB);
  EXPECT_EQ(ByName(query).at("heap").source, Source::kEstimated);
  query.ranks_on_host = 9;
  const int64_t more_ranks = heap();
  query.part_bytes = 0;
  EXPECT_EQ(more_ranks - heap(), 16 * kTestMiB);
}

TEST(OutsideModelTest, MpiAddsWhatTwoRanksHadMoreThanOne) {
  OutsideQuery query = Plain();
  query.precision = "bf16";
  query.ranks_on_host = 2;
  EXPECT_EQ(ByName(query).at("libraries").bytes, (81 + 6) * kTestMiB);
  query.ranks_on_host = 1;
  query.launched = true;
  EXPECT_EQ(ByName(query).at("libraries").bytes, (81 + 6) * kTestMiB);
}

TEST(OutsideModelTest, DataIsInTheHeapAndItsHolesServeProducts) {
  OutsideQuery query = Plain();
  query.data_heap_bytes = 70 * kTestMiB;
  query.data_taken_bytes = 110 * kTestMiB;
  query.product_bytes = 3 * kTestMiB;
  const auto with = ByName(query);
  EXPECT_EQ(with.at("heap").bytes, 71 * kTestMiB);
  EXPECT_GE(with.at("heap_idle").bytes, 40 * kTestMiB);
  EXPECT_LE(with.at("heap_idle").bytes, 45 * kTestMiB);
}

TEST(OutsideModelTest, MoreOfAnythingIsNeverLess) {
  const int64_t base = TotalBytes(PredictOutside(Made(), Plain()));
  const auto grows = [&](void (*change)(OutsideQuery*)) {
    OutsideQuery query = Plain();
    change(&query);
    return TotalBytes(PredictOutside(Made(), query)) > base;
  };
  EXPECT_TRUE(grows([](OutsideQuery* q) { q->threads = 16; }));
  EXPECT_TRUE(grows([](OutsideQuery* q) { q->segments = 50; }));
  EXPECT_TRUE(grows([](OutsideQuery* q) { q->cell_steps = 512; }));
  EXPECT_TRUE(grows([](OutsideQuery* q) { q->product_bytes = 30 << 20; }));
  EXPECT_TRUE(grows([](OutsideQuery* q) { q->ranks_on_host = 4; }));
  EXPECT_TRUE(grows([](OutsideQuery* q) { q->data_heap_bytes = 1 << 20; }));
}

}  // namespace
}  // namespace stowage
