// Trains a config for some steps and writes down every block that its tensors take: what replay_allocations plays.
//
//   record_allocations CONFIG --out FILE --run-dir FOLDER [--steps 4] [--set KEY=VALUE]...
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "memory/counting_allocator.h"
#include "memory/trace/allocation_trace.h"
#include "memory/trace/recording_source.h"
#include "sharding/launch.h"
#include "sharding/solo_communicator.h"
#include "trainer/config/load.h"
#include "trainer/data/open_data.h"
#include "trainer/run/own_kinds.h"
#include "trainer/run/process.h"
#include "trainer/run/train_run.h"

namespace stowage {
namespace {

// The name under which the config's own data is opened, so that its reads can be seen.
constexpr char kSource[] = "recorded";

// A step begins where the first samples of a global batch are read.
class MarkingDataset : public Dataset {
 public:
  MarkingDataset(std::unique_ptr<Dataset> dataset, int64_t global_batch, RecordingSource* recorder)
      : dataset_(std::move(dataset)), global_batch_(global_batch), recorder_(recorder) {}

  int64_t size() const override { return dataset_->size(); }
  absl::StatusOr<Batch> Read(absl::Span<const SampleId> samples) const override {
    if (read_ % global_batch_ == 0) recorder_->MarkStep();
    read_ += static_cast<int64_t>(samples.size());
    return dataset_->Read(samples);
  }
  DataShape shape() const override { return dataset_->shape(); }
  std::string fingerprint() const override { return dataset_->fingerprint(); }

 private:
  const std::unique_ptr<Dataset> dataset_;
  const int64_t global_batch_;
  RecordingSource* const recorder_;
  mutable int64_t read_ = 0;
};

absl::Status Record(const std::string& path, const std::vector<std::string>& sets, const std::string& run_dir,
                    const std::string& out) {
  STOWAGE_ASSIGN_OR_RETURN(Config config, LoadConfig(path, sets));
  SoloCommunicator communicator;
  STOWAGE_ASSIGN_OR_RETURN(const ThreadPlan threads,
                           PlanThreads(communicator.placement(), static_cast<int>(config.run.threads.value_or(0))));
  STOWAGE_RETURN_IF_ERROR(SetUpProcess(threads.threads));
  // Never deleted: tensors may hold its blocks to the end of the process.
  auto* const recorder = new RecordingSource(config.run.name, InstalledPool());
  OwnKinds own;
  own.data[kSource] = [source = config.data.source, context = config.model.context,
                       vocabulary = config.model.vocabulary.value_or(0), global_batch = config.train.global_batch,
                       recorder](DataConfig data) -> absl::StatusOr<Data> {
    data.source = source;
    STOWAGE_ASSIGN_OR_RETURN(Data opened, OpenData(data, context, vocabulary, [](const std::string&) {}));
    opened.train = std::make_unique<MarkingDataset>(std::move(opened.train), global_batch, recorder);
    return opened;
  };
  config.data.source = kSource;
  TrainOptions options;
  options.run_dir = run_dir;
  options.quiet = true;
  options.threads = threads.threads;
  options.thread_description = threads.description;
  BlockSource* const before = SetBlockSource(recorder);
  const absl::Status trained = Train(config, communicator, options, own).status();
  SetBlockSource(before);
  STOWAGE_RETURN_IF_ERROR(trained);
  const AllocationTrace trace = recorder->Stop();
  std::printf("%s: %zu events, %zu steps\n", trace.name.c_str(), trace.events.size(), trace.steps.size());
  return WriteAllocationTrace(out, trace);
}

int Main(int argc, char** argv) {
  std::string config, out, run_dir;
  int64_t steps = 4;
  std::vector<std::string> sets;
  CLI::App app("Trains CONFIG for some steps and writes down what its tensors allocate", "record_allocations");
  app.add_option("CONFIG", config)->required();
  app.add_option("--out", out, "the trace, a file")->required();
  app.add_option("--run-dir", run_dir, "the run folder, which must not exist")->required();
  app.add_option("--steps", steps)->check(CLI::Range(2, 1000));
  app.add_option("--set", sets, "key.path=value")->allow_extra_args(false);
  CLI11_PARSE(app, argc, argv);
  for (const std::string& set :
       {absl::StrCat("train.steps=", steps), std::string("train.epochs=none"), std::string("train.eval_sequences=16"),
        std::string("optimizer.schedule.warmup_steps=1")}) {
    sets.insert(sets.begin(), set);
  }
  const absl::Status status = Record(config, sets, run_dir, out);
  if (!status.ok()) std::fprintf(stderr, "record_allocations: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace stowage

int main(int argc, char** argv) { return stowage::Main(argc, argv); }
