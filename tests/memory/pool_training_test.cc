// The pool is no part of what is computed: a run with it, without it, and with it switched off and on between steps
// come to the same bits.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "memory/counting_allocator.h"
#include "memory/pool_scope.h"
#include "memory/system_source.h"
#include "sharding/solo_communicator.h"
#include "tests/memory/made_up_tokens.h"
#include "trainer/run/process.h"
#include "trainer/run/train_run.h"

namespace stowage {
namespace {

enum class Blocks { kPool, kSystem, kInTurn };

// Tensors may outlive a run's end.
SystemSource& System() {
  static auto* const system = new SystemSource;
  return *system;
}

struct Outcome {
  double loss = 0.0;
  int64_t pooled = 0;  // blocks that the pool gave
};

Outcome TrainWith(Blocks blocks, const std::string& folder) {
  EXPECT_TRUE(SetUpProcess(/*threads=*/1).ok());
  const int64_t before = InstalledPool()->Statistics().allocations;
  OwnKinds own;
  own.data["made_up"] = [&](const DataConfig&) -> absl::StatusOr<Data> {
    Data data;
    data.train = std::make_unique<MadeUpTokens>(/*context=*/12, [&](int64_t reads) {
      if (blocks == Blocks::kInTurn) SetBlockSource(reads % 2 == 0 ? &System() : nullptr);
    });
    return data;
  };
  Config config;
  config.data.source = "made_up";
  config.model.layers = 2;
  config.model.width = 16;
  config.model.heads = 2;
  config.model.context = 12;
  config.model.dropout = 0.1;
  config.train.steps = 10;
  config.train.micro_batch = 2;
  config.train.global_batch = 4;
  TrainOptions options;
  options.run_dir = folder;
  options.quiet = true;
  SoloCommunicator solo;
  Outcome outcome;
  absl::StatusOr<TrainOutcome> trained = absl::InternalError("not run");
  if (blocks == Blocks::kSystem) {
    PoolScope without(&System());
    trained = Train(config, solo, options, own);
  } else {
    trained = Train(config, solo, options, own);
    SetBlockSource(nullptr);
  }
  EXPECT_TRUE(trained.ok()) << trained.status();
  if (trained.ok()) outcome.loss = trained->last_loss;
  outcome.pooled = InstalledPool()->Statistics().allocations - before;
  return outcome;
}

TEST(PoolTrainingTest, LossesAreTheSameBitsWithAndWithoutThePool) {
  const auto folder = [](const char* name) { return absl::StrCat(testing::TempDir(), "/pool_training_", name); };
  const Outcome with = TrainWith(Blocks::kPool, folder("with"));
  const Outcome without = TrainWith(Blocks::kSystem, folder("without"));
  const Outcome in_turn = TrainWith(Blocks::kInTurn, folder("in_turn"));
  EXPECT_NE(with.loss, 0.0);
  EXPECT_EQ(with.loss, without.loss);
  EXPECT_EQ(with.loss, in_turn.loss);
  EXPECT_EQ(without.pooled, 0);
  EXPECT_GT(in_turn.pooled, 0);
  EXPECT_LT(in_turn.pooled, with.pooled);
}

}  // namespace
}  // namespace stowage
