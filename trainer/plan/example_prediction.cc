#include "trainer/plan/example_prediction.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace stowage {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

using Bytes = std::map<std::string, int64_t>;

int64_t Sum(const Bytes& bytes) {
  int64_t sum = 0;
  for (const auto& [name, count] : bytes) sum += count;
  return sum;
}

// Plays forward and backward of one micro-batch after the other, as a real step does, and keeps its books.
class Step {
 public:
  explicit Step(Prediction* prediction) : prediction_(prediction) {}

  void Play(const std::string& label, int micro, int64_t activations, int64_t gradients, int64_t workspace) {
    InstructionPrediction i;
    i.phase = "step";
    i.label = label;
    i.micro_batch = micro;
    i.peak_bytes = live_;
    i.peak_bytes["activations"] += std::max<int64_t>(activations, 0);
    i.peak_bytes["gradients"] += std::max<int64_t>(gradients, 0);
    i.peak_bytes["workspace"] += workspace;
    live_["activations"] += activations;
    live_["gradients"] += gradients;
    i.live_bytes = live_;
    i.total_live_bytes = Sum(i.live_bytes);
    i.total_peak_bytes = Sum(i.peak_bytes);
    prediction_->instructions.push_back(i);
  }

 private:
  Prediction* prediction_;
  Bytes live_ = {
      {"parameters", 24 * kMiB}, {"gradients", 0}, {"optimizer", 48 * kMiB}, {"activations", 0}, {"data", kMiB / 4}};
};

// The phase's own peaks, from its instructions.
PhasePrediction PhaseOf(const Prediction& prediction, const std::string& name) {
  PhasePrediction phase;
  phase.phase = name;
  for (const InstructionPrediction& i : prediction.instructions) {
    if (i.phase != name) continue;
    for (const auto& [category, bytes] : i.peak_bytes) {
      phase.peak_bytes[category] = std::max(phase.peak_bytes[category], bytes);
    }
    if (i.total_peak_bytes > phase.total_peak_bytes) {
      phase.total_peak_bytes = i.total_peak_bytes;
      phase.peak_instruction = i.label;
    }
  }
  return phase;
}

}  // namespace

Prediction ExamplePrediction() {
  Prediction p;
  p.config = "configs/small.yaml";
  p.model = "gpt2: 6291456 parameters";
  p.world_size = 2;
  p.threads = 2;
  p.global_batch = 16;
  p.micro_batch = 4;
  p.micro_batches_per_rank = 2;
  p.precision = "fp32";
  p.zero = "0";
  p.recompute = "none";

  Step step(&p);
  const std::vector<std::string> segments = {"embedding", "h.0.attn", "h.0.ffn", "h.1.attn", "h.1.ffn", "head"};
  const std::vector<int64_t> kept = {4, 22, 30, 22, 30, 2};
  const std::vector<int64_t> gradients = {6, 4, 5, 4, 5, 0};
  for (int micro = 0; micro < 2; ++micro) {
    for (size_t s = 0; s < segments.size(); ++s) {
      step.Play("forward " + segments[s], micro, kept[s] * kMiB, 0, kept[s] * kMiB / 8);
    }
    for (size_t s = segments.size(); s-- > 0;) {
      step.Play("backward " + segments[s], micro, -kept[s] * kMiB, micro == 0 ? gradients[s] * kMiB : 0,
                kept[s] * kMiB / 2);
    }
  }
  step.Play("agree", -1, 0, 0, 0);
  step.Play("update h.1", -1, 0, 0, 3 * kMiB / 2);

  PhasePrediction init;
  init.phase = "init";
  init.peak_bytes = {{"parameters", 24 * kMiB}, {"workspace", 6 * kMiB}};
  init.total_peak_bytes = 30 * kMiB;
  PhasePrediction first = PhaseOf(p, "step");
  first.phase = "first step";
  first.total_peak_bytes -= 10 * kMiB;
  PhasePrediction eval;
  eval.phase = "eval";
  eval.peak_bytes = {{"parameters", 24 * kMiB},
                     {"optimizer", 48 * kMiB},
                     {"activations", 4 * kMiB},
                     {"workspace", 12 * kMiB},
                     {"data", 20000}};
  eval.total_peak_bytes = 88 * kMiB + 20000;
  eval.peak_instruction = "forward h.0.ffn";
  p.phases = {init, first, PhaseOf(p, "step"), eval};
  p.tensors_peak_bytes = PhaseOf(p, "step").total_peak_bytes;

  p.outside = {{"libraries", "libraries' code and data", 82 * kMiB, Source::kMeasured},
               {"libraries_heap", "libraries' heap at the start", 54 * kMiB + kMiB / 10, Source::kMeasured},
               {"pool_rounding", "pool: headers and rounding", kMiB / 2, Source::kRehearsed},
               {"thread_stacks", "thread stacks", kMiB, Source::kEstimated}};
  int64_t rss = p.tensors_peak_bytes;
  for (const OutsidePrediction& outside : p.outside) rss += outside.bytes;
  p.rss_peak_bytes = rss;
  p.machine = "this one, calibrated 2026-11-20";
  p.budgets = {{"memory.host", "50%", rss - 32 * kMiB, "50 % of the memory cgroup's", rss}};
  p.hints = {{"train.micro_batch", "4", "2", 63 * kMiB, true, "the losses' bits"},
             {"precision", "fp32", "bf16", 20 * kMiB, false, "the losses"}};
  p.budgets[0].first_over = "train step, instruction 4 (forward h.1.ffn micro 0): holds 181 MiB of tensors";
  p.assumed = {{"aten::convolution", 300 * kMiB}};
  p.schedules = {{"train step", 2, 26}, {"evaluation", 1, 7}};
  p.seconds = 0.31;
  return p;
}

Prediction AwkwardPrediction(int instructions) {
  Prediction p;
  p.config = "configs/<a & b>.yaml";
  p.model = "\"mine\" </script><script>alert('x')</script>: 12 größe 模型";
  p.world_size = 1024;
  p.threads = 3;
  p.global_batch = 4096;
  p.micro_batch = 4;
  p.micro_batches_per_rank = 1;
  p.precision = "bf16";
  p.zero = "0";
  p.recompute = "none";
  for (int n = 0; n < instructions; ++n) {
    InstructionPrediction i;
    i.phase = "step";
    i.label = absl::StrCat(n % 2 == 0 ? "forward " : "backward ", "schicht.<", n, ">.größe & \"ffn\" 'é'");
    i.micro_batch = 2 * n < instructions ? 0 : 1;
    i.live_bytes = {{"parameters", 700 * kMiB}, {"activations", n * kMiB}};
    i.peak_bytes = {{"parameters", 700 * kMiB},
                    {"activations", n * kMiB},
                    {"workspace", (n == 16 ? instructions + 500 : 40) * kMiB},
                    {"eigene <Größe>", 16 * kMiB}};
    i.total_live_bytes = Sum(i.live_bytes);
    i.total_peak_bytes = Sum(i.peak_bytes) + 3;  // of small blocks, which are not told apart
    p.instructions.push_back(i);
  }
  for (const char* name : {"forward </title> a", "forward b", "forward c"}) {
    InstructionPrediction i;
    i.phase = "eval";
    i.label = name;
    i.peak_bytes = i.live_bytes = {{"parameters", 700 * kMiB}};
    i.total_live_bytes = i.total_peak_bytes = 700 * kMiB;
    p.instructions.push_back(i);
  }
  p.phases = {PhaseOf(p, "step"), PhaseOf(p, "eval")};
  p.tensors_peak_bytes = std::max(p.phases[0].total_peak_bytes, p.phases[1].total_peak_bytes);
  p.outside = {{"libraries", "libraries' <code> & data", 100 * kMiB, Source::kMeasured}};
  p.rss_peak_bytes = p.tensors_peak_bytes + 100 * kMiB;
  p.machine = "\"höst\" <1>";
  p.budgets = {{"memory.host", "4GiB", 4096 * kMiB, "the config <asked> \"so\"", *p.rss_peak_bytes}};
  p.seconds = 1.25;
  return p;
}

}  // namespace stowage
