#include "trainer/run/resume.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "trainer/config/load.h"
#include "trainer/config/model_keys.h"
#include "trainer/run/process.h"

namespace stowage {
namespace {

std::string Text(const std::optional<int64_t>& value) { return value ? absl::StrCat(*value) : "none"; }

// absl::StrCat keeps six digits of a double; a resume compares all of them.
std::string Text(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.17g", value);
  return text;
}

}  // namespace

CheckpointInfo MakeCheckpointInfo(const Config& config, int64_t step, const std::string& data_fingerprint,
                                  int world_size, int threads, const std::string& plan_json) {
  CheckpointInfo info;
  info.step = step;
  info.config_yaml = ConfigToYaml(config);
  info.plan_json = plan_json;
  const OptimizerConfig& optimizer = config.optimizer;
  info.must_match = {
      {"run.seed", absl::StrCat(config.run.seed)},
      {"data (training set)", data_fingerprint},
      {"train.global_batch", absl::StrCat(config.train.global_batch)},
      {"train.micro_batch", Text(config.train.micro_batch)},
      {"train.reduce_per", config.train.reduce_per},
      {"optimizer.kind", optimizer.kind},
      {"precision", config.precision},
      {"fp32_segments", absl::StrJoin(config.fp32_segments, ", ")},
      {"ranks", absl::StrCat(world_size)},
      {"train.epochs or train.steps", config.train.epochs ? "epochs" : "steps"},
  };
  for (const auto& [key, value] : ModelValues(config)) info.must_match[key] = value;
  if (optimizer.kind == "adamw") {
    info.must_match["optimizer.betas"] = absl::StrCat("[", Text(optimizer.beta1), ", ", Text(optimizer.beta2), "]");
    info.must_match["optimizer.eps"] = Text(optimizer.eps);
  } else {
    info.must_match["optimizer.momentum"] = Text(optimizer.momentum);
  }
  info.noted = {
      {"threads", absl::StrCat(threads)},
      {"CPU", CpuKind()},
      {"LibTorch", LibTorchVersion()},
      {"train.steps", Text(config.train.steps)},
      {"train.epochs", Text(config.train.epochs)},
      {"train.lr_for_accumulation", config.train.lr_for_accumulation},
      {"optimizer.lr", Text(optimizer.lr)},
      {"optimizer.weight_decay", Text(optimizer.weight_decay)},
      {"optimizer.grad_clip", Text(optimizer.grad_clip)},
      {"optimizer.schedule.kind", optimizer.schedule.kind},
      {"optimizer.schedule.warmup_steps", absl::StrCat(optimizer.schedule.warmup_steps)},
      {"optimizer.schedule.final_lr", Text(optimizer.schedule.final_lr)},
  };
  // Named where there is one only: checkpoints from before there was the key have none.
  if (config.train.loss_scale.kind != LossScaleValue::Kind::kNone) {
    info.noted["train.loss_scale"] = config.train.loss_scale.kind == LossScaleValue::Kind::kDynamic
                                         ? std::string("dynamic")
                                         : Text(config.train.loss_scale.fixed);
  }
  return info;
}

absl::Status CheckResume(const CheckpointInfo& saved, const CheckpointInfo& here, std::vector<std::string>* said) {
  const auto value = [](const std::map<std::string, std::string>& map, const std::string& key) {
    const auto found = map.find(key);
    return found == map.end() ? std::string("(not recorded)") : found->second;
  };
  std::string refused;
  for (const auto& [key, now] : here.must_match) {
    const std::string then = value(saved.must_match, key);
    if (then != now) absl::StrAppend(&refused, refused.empty() ? "" : "; ", key, ": ", then, " in the checkpoint, ", now, " now");
  }
  if (!refused.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot resume: ", refused, ". Put the old values back, or start a new run with another --run-dir"));
  }
  for (const auto& [key, now] : here.noted) {
    const std::string then = value(saved.noted, key);
    if (then == now) continue;
    said->push_back(absl::StrCat("resume: ", key, " was ", then, " and is ", now,
                                 " now: results will not be bit-identical to an unbroken run"));
  }
  return absl::OkStatus();
}

}  // namespace stowage
