#include "memory/planned/pack_arena.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

namespace stowage {
namespace {

// Every pair of blocks: held at once, they lie apart; and all lie in the arena.
void ExpectSound(const Lifetimes& lifetimes, const ArenaPlan& plan) {
  ASSERT_EQ(plan.offsets.size(), lifetimes.size());
  EXPECT_EQ(plan.peak_live_bytes, PeakLiveBytes(lifetimes));
  EXPECT_GE(plan.arena_bytes, plan.peak_live_bytes);
  for (size_t i = 0; i < lifetimes.size(); ++i) {
    const int64_t begin = plan.offsets[i], end = begin + lifetimes[i].bytes;
    ASSERT_EQ(begin == ArenaPlan::kNoPlace, !lifetimes[i].planned()) << i;
    if (!lifetimes[i].planned()) continue;
    ASSERT_EQ(begin % 64, 0) << i;
    ASSERT_GE(begin, 0) << i;
    ASSERT_LE(end, plan.arena_bytes) << i;
    for (size_t j = i + 1; j < lifetimes.size() && static_cast<int64_t>(j) < lifetimes[i].death; ++j) {
      if (!lifetimes[j].planned()) continue;
      ASSERT_TRUE(end <= plan.offsets[j] || plan.offsets[j] + lifetimes[j].bytes <= begin) << i << " and " << j;
    }
  }
}

Lifetimes RandomStep(uint64_t seed, int64_t blocks) {
  std::mt19937_64 random(seed);
  Lifetimes lifetimes;
  for (int64_t k = 0; k < blocks; ++k) {
    const int64_t life = 1 + static_cast<int64_t>(random() % (random() % 4 == 0 ? blocks : 8));
    const int64_t bytes = 1 + static_cast<int64_t>(random() % (random() % 3 == 0 ? 10'000'000 : 10'000));
    const bool outlives = random() % 50 == 0;
    lifetimes.push_back({bytes, outlives ? BlockLifetime::kOutlives : std::min(blocks, k + life)});
  }
  return lifetimes;
}

// An arena that is full at every time: a rectangle of bytes and time is cut in two again and again, along either. So
// the optimum is the bound. In what order the blocks of one time are asked for is drawn at random.
Lifetimes PlantedStep(uint64_t seed, size_t blocks) {
  std::mt19937_64 random(seed);
  struct Piece {
    int64_t bytes, begin, end;
  };
  std::deque<Piece> pieces = {{64 * 10'000, 0, 10'000}};
  while (pieces.size() < blocks) {
    const Piece piece = pieces.front();  // the oldest: pieces stay of like size
    pieces.pop_front();
    const bool in_time = random() % 2 == 0;
    const int64_t length = in_time ? piece.end - piece.begin : piece.bytes / 64;
    if (length < 8) {
      pieces.push_back(piece);
      continue;
    }
    const int64_t cut = length / 4 + static_cast<int64_t>(random() % static_cast<uint64_t>(length / 2));
    if (in_time) {
      pieces.push_back({piece.bytes, piece.begin, piece.begin + cut});
      pieces.push_back({piece.bytes, piece.begin + cut, piece.end});
    } else {
      pieces.push_back({64 * cut, piece.begin, piece.end});
      pieces.push_back({piece.bytes - 64 * cut, piece.begin, piece.end});
    }
  }
  std::shuffle(pieces.begin(), pieces.end(), random);
  std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.begin < b.begin; });
  Lifetimes lifetimes;
  for (const Piece& piece : pieces) {
    lifetimes.push_back({piece.bytes, std::count_if(pieces.begin(), pieces.end(),
                                                    [&](const Piece& other) { return other.begin < piece.end; })});
  }
  return lifetimes;
}

Lifetimes ReadStep(const std::string& name) {
  std::ifstream file("memory/planned/testdata/" + name + ".txt");
  Lifetimes lifetimes;
  for (std::string line; std::getline(file, line);) {
    if (line[0] == '#') continue;
    std::istringstream words(line);
    int64_t bytes = 0, death = 0;
    words >> bytes >> death;
    lifetimes.push_back({bytes, death < 0 ? BlockLifetime::kOutlives : death});
  }
  return lifetimes;
}

TEST(PackArenaTest, BlocksThatAreHeldAtOnceLieApart) {
  PackOptions options;
  options.most_pairs = 300'000;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    const Lifetimes lifetimes = RandomStep(seed, 1 + static_cast<int64_t>(seed * seed) % 700);
    ExpectSound(lifetimes, PackArena(lifetimes, options));
  }
}

TEST(PackArenaTest, RealStepsTakeAtMostOnePercentAboveWhatIsLiveAtOnce) {
  for (const std::string name : {"quickstart", "gpt2_124m", "cnn", "accumulation"}) {
    SCOPED_TRACE(name);
    const Lifetimes lifetimes = ReadStep(name);
    ASSERT_GT(lifetimes.size(), 100);
    const ArenaPlan plan = PackArena(lifetimes);
    ExpectSound(lifetimes, plan);
    EXPECT_LE(static_cast<double>(plan.arena_bytes), 1.01 * static_cast<double>(plan.peak_live_bytes));
  }
}

TEST(PackArenaTest, PlantedOptimaOfFewBlocksAreFound) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    const Lifetimes lifetimes = PlantedStep(seed, 12);
    const ArenaPlan plan = PackArena(lifetimes);
    ExpectSound(lifetimes, plan);
    EXPECT_LE(static_cast<double>(plan.arena_bytes), 1.001 * static_cast<double>(plan.peak_live_bytes)) << seed;
  }
}

TEST(PackArenaTest, SearchMendsWhatNoFixedOrderSolves) {
  PackOptions orders_only, search;
  orders_only.most_pairs = 1;
  search.most_pairs = 3'000'000;
  int mended = 0;
  double worst = 0.0;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const Lifetimes lifetimes = PlantedStep(seed, 100);
    const ArenaPlan fixed = PackArena(lifetimes, orders_only), plan = PackArena(lifetimes, search);
    ExpectSound(lifetimes, plan);
    EXPECT_LE(plan.arena_bytes, fixed.arena_bytes);
    mended += plan.arena_bytes < fixed.arena_bytes ? 1 : 0;
    worst = std::max(worst, static_cast<double>(plan.arena_bytes) / static_cast<double>(plan.peak_live_bytes));
  }
  EXPECT_GE(mended, 8);
  // An arena that is full at every moment is the hardest case, and no training step comes near it; but a change of
  // method should not lose what this one reaches.
  EXPECT_LE(worst, 1.2);
}

TEST(PackArenaTest, TheSameStepGivesTheSamePlan) {
  const Lifetimes lifetimes = RandomStep(7, 500);
  PackOptions options;
  options.most_pairs = 2'000'000;
  EXPECT_EQ(PackArena(lifetimes, options).offsets, PackArena(lifetimes, options).offsets);
}

TEST(PackArenaTest, StepsWithoutBlocks) {
  EXPECT_EQ(PackArena({}).arena_bytes, 0);
  const ArenaPlan plan = PackArena({{100, BlockLifetime::kOutlives}});
  EXPECT_EQ(plan.arena_bytes, 0);
  EXPECT_EQ(plan.offsets, std::vector<int64_t>{ArenaPlan::kNoPlace});
}

TEST(PackArenaTest, WorkIsBoundedForStepsOfManyBlocks) {
  PackOptions options;
  options.most_pairs = 1'000'000;
  const Lifetimes lifetimes = RandomStep(3, 3'000);
  ExpectSound(lifetimes, PackArena(lifetimes, options));
}

}  // namespace
}  // namespace stowage
