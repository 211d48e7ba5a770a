#include "tests/steps/step_run.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/dtype.h"
#include "base/file.h"
#include "memory/counting_allocator.h"
#include "sharding/in_process_group.h"
#include "sharding/solo_communicator.h"
#include "trainer/checkpoint/checkpoint_reader.h"
#include "trainer/checkpoint/manifest.h"
#include "trainer/run/process.h"

namespace stowage {
namespace {

class WatchedData final : public Dataset {
 public:
  WatchedData(const StepRun& run, int rank) : data_(run.data()), run_(run), rank_(rank) {}

  int64_t size() const override { return data_->size(); }
  DataShape shape() const override { return data_->shape(); }
  std::string fingerprint() const override { return data_->fingerprint(); }

  absl::StatusOr<Batch> Read(absl::Span<const SampleId> samples) const override {
    if (run_.on_read) {
      const absl::Status status = run_.on_read(rank_, samples);
      if (!status.ok()) return status;
    }
    absl::StatusOr<Batch> batch = data_->Read(samples);
    if (batch.ok() && run_.on_batch) run_.on_batch(rank_, samples, &*batch);
    return batch;
  }

 private:
  const std::unique_ptr<Dataset> data_;
  const StepRun& run_;
  const int rank_;
};

std::string CheckpointPath(const std::string& folder, int64_t step) {
  return absl::StrFormat("%s/checkpoints/step-%08d", folder, step);
}

absl::StatusOr<TrainOutcome> TrainRank(const StepRun& run, Communicator& communicator) {
  const int rank = communicator.rank();
  OwnKinds own = run.own;
  own.data["watched"] = [&run, rank](const DataConfig&) -> absl::StatusOr<Data> {
    Data data;
    data.train = std::make_unique<WatchedData>(run, rank);
    return data;
  };
  Config config = run.config;
  config.data.source = "watched";
  TrainOptions options;
  options.run_dir = run.folder;
  options.resume = run.resume;
  options.quiet = true;
  absl::StatusOr<TrainOutcome> outcome = Train(config, communicator, options, own);
  SetThreadBlockSource(nullptr);
  return outcome;
}

}  // namespace

std::vector<absl::StatusOr<TrainOutcome>> TrainRanks(const StepRun& run) {
  EXPECT_TRUE(SetUpProcess(/*threads=*/1).ok());
  if (!run.resume) {
    EXPECT_TRUE(RemoveTree(run.folder).ok());
  }
  std::vector<absl::StatusOr<TrainOutcome>> outcomes(static_cast<size_t>(run.world_size),
                                                     absl::InternalError("did not run"));
  if (run.world_size == 1) {
    SoloCommunicator solo;
    outcomes[0] = TrainRank(run, solo);
    return outcomes;
  }
  const auto communicators = InProcessGroup::Create(run.world_size);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < run.world_size; ++rank) {
    threads.emplace_back([&, rank] { outcomes[static_cast<size_t>(rank)] = TrainRank(run, *communicators[rank]); });
  }
  for (std::thread& thread : threads) thread.join();
  return outcomes;
}

FailingSource& RefusingSource() {
  // Lives to the end of the process, as its blocks may.
  thread_local FailingSource* const source = new FailingSource(InstalledPool());
  SetThreadBlockSource(source);
  return *source;
}

std::vector<nlohmann::json> StepLines(const std::string& folder) {
  std::ifstream file(folder + "/metrics.jsonl");
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(file, line);) {
    const nlohmann::json json = nlohmann::json::parse(line);
    if (json.contains("loss")) lines.push_back(json);
  }
  return lines;
}

nlohmann::json ReportOf(const std::string& folder) {
  return nlohmann::json::parse(ReadFile(folder + "/report.json").value_or("{}"));
}

Weights WeightsAt(const std::string& folder, int64_t step) {
  const auto reader = CheckpointReader::Open(CheckpointPath(folder, step));
  EXPECT_TRUE(reader.ok()) << reader.status();
  Weights weights;
  if (!reader.ok()) return weights;
  for (const auto& [name, tensor] : reader->tensors()) {
    std::vector<char>& bytes = weights[name];
    bytes.resize(static_cast<size_t>(tensor.numel * DTypeBytes(tensor.dtype)));
    EXPECT_TRUE(reader->Read(name, 0, tensor.numel, bytes.data()).ok()) << name;
  }
  return weights;
}

std::string Difference(const Weights& one, const Weights& other) {
  if (one.size() != other.size()) return absl::StrCat(one.size(), " tensors and ", other.size());
  std::string text;
  for (const auto& [name, bytes] : one) {
    const auto found = other.find(name);
    if (found == other.end() || found->second.size() != bytes.size()) return absl::StrCat("another shape of ", name);
    int64_t differ = 0;
    for (size_t i = 0; i < bytes.size(); ++i) differ += bytes[i] != found->second[i] ? 1 : 0;
    if (differ > 0) absl::StrAppend(&text, name, ": ", differ, " of ", bytes.size(), " bytes; ");
    if (text.size() > 500) break;
  }
  return text;
}

void GoBackTo(const std::string& folder, int64_t step) {
  const std::string kept = absl::StrFormat("step-%08d", step);
  const auto names = ListFolder(folder + "/checkpoints");
  ASSERT_TRUE(names.ok()) << names.status();
  for (const std::string& name : *names) {
    if (name > kept) {
      ASSERT_TRUE(RemoveTree(absl::StrCat(folder, "/checkpoints/", name)).ok());
    }
  }
  ASSERT_TRUE(RemoveTree(folder + "/report.json").ok());
}

void SetState(const std::string& folder, int64_t step, const std::string& name, const std::string& value) {
  const std::string path = CheckpointPath(folder, step) + "/manifest.json";
  auto manifest = ManifestFromJson(ReadFile(path).value_or(""));
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  ASSERT_EQ(manifest->info.state.count(name), 1u) << name;
  manifest->info.state[name] = value;
  const auto text = ManifestToJson(*manifest);
  ASSERT_TRUE(text.ok()) << text.status();
  ASSERT_TRUE(WriteFileDurably(path, *text).ok());
}

}  // namespace stowage
