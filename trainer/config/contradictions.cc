#include "trainer/config/contradictions.h"

#include "absl/strings/str_cat.h"
#include "trainer/config/model_keys.h"
#include "trainer/config/schema.h"

namespace stowage {
namespace {

class Checker {
 public:
  Checker(const Config& config, const PlaceOfKey& place_of, const std::string& no_place, bool own_source)
      : config_(config), place_of_(place_of), no_place_(no_place), own_source_(own_source) {}

  absl::Status Run() {
    CheckModel();
    CheckData();
    CheckTrain();
    CheckOptimizer();
    CheckMemory();
    CheckSharding();
    return status_;
  }

 private:
  // `message` about two keys: at the first one's place, with the second one's at the end.
  void Conflict(const std::string& first, const std::string& second, const std::string& message) {
    if (!status_.ok()) return;
    std::string here = place_of_(first);
    std::string there = place_of_(second);
    std::string there_key = second;
    if (here.empty()) {  // the first is a default: the person wrote the second
      here.swap(there);
      there_key = first;
    }
    status_ = absl::InvalidArgumentError(
        absl::StrCat(here.empty() ? "" : absl::StrCat(here, ": "), message,
                     there.empty() ? "" : absl::StrCat(" (", there_key, " is at ", there, ")")));
  }

  void Missing(const std::string& message) {
    if (status_.ok()) {
      status_ = absl::InvalidArgumentError(absl::StrCat(no_place_, no_place_.empty() ? "" : ": ", message));
    }
  }

  void CheckModel() {
    const ModelConfig& model = config_.model;
    for (const Field& field : Fields()) {
      if (ModelKindHasKey(model.kind, field.key)) continue;
      const std::string value = field.write(config_);
      if (value == field.write(Config())) continue;  // a resolved config lists every key
      Conflict(field.key, "model.kind",
               absl::StrCat(field.key, ": ", value, " means nothing for model.kind ", model.kind, ", which has ",
                            ModelKeysText(model.kind), "; leave it out"));
    }
    CheckPreset();
    const auto has = [&](const char* key) { return ModelKindHasKey(model.kind, key); };
    if (has("model.heads") && model.width % model.heads != 0) {
      Conflict("model.width", "model.heads",
               absl::StrCat("model.width ", model.width, " is not a multiple of model.heads ", model.heads));
    }
    if (has("model.kv_heads") && model.heads % model.kv_heads.value_or(1) != 0) {
      Conflict("model.kv_heads", "model.heads",
               absl::StrCat("model.kv_heads ", *model.kv_heads, " does not divide model.heads ", model.heads));
    }
    if (model.kind == "llama" && model.width % (2 * model.heads) != 0) {
      Conflict("model.width", "model.heads",
               absl::StrCat("model.width ", model.width, " gives each of model.heads ", model.heads,
                            " an odd number of elements; rotary positions turn pairs"));
    }
  }

  // A preset for another kind of model than there is. What a kind of the program's own is, only the program knows.
  void CheckPreset() {
    const std::string& kind = config_.model.kind;
    const struct {
      const char* preset;
      bool is;
    } kinds[] = {{"transformer", kind == "gpt2" || kind == "llama"}, {"cnn", kind == "cnn"}, {"rnn", kind == "rnn"}};
    const bool built_in = kinds[0].is || kinds[1].is || kinds[2].is || kind == "mlp";
    for (const std::string& name : config_.preset) {
      for (const auto& [preset, is] : kinds) {
        if (name != preset || is || !built_in) continue;
        Conflict("preset", "model.kind",
                 absl::StrCat("preset: ", name, " is for models of another kind than model.kind ", kind, "; leave it out"));
      }
    }
  }

  void CheckData() {
    if (own_source_) return;
    const DataConfig& data = config_.data;
    const bool files = !data.train.empty();
    if (!data.source.empty() && files) {
      Conflict("data.train", "data.source",
               "data.train names files, but data.source names a built-in text; keep one (source: none unsets it)");
    }
    if (!data.source.empty() && !data.validation.empty()) {
      Conflict("data.validation", "data.source",
               "data.validation names files, but a built-in text (data.source) brings its own validation part");
    }
    if (!data.source.empty() && data.format != "auto") {
      Conflict("data.format", "data.source",
               absl::StrCat("data.format ", data.format, " is about files, but data.source names a built-in text"));
    }
    if (data.source.empty() && !files) {
      Missing("data: nothing to learn from; give data.source (kjv) or data.train (paths)");
    }
  }

  void CheckTrain() {
    const TrainConfig& train = config_.train;
    if (train.steps.has_value() && train.epochs.has_value()) {
      Conflict("train.epochs", "train.steps",
               "train.epochs and train.steps are both given; keep one (steps: none unsets it)");
    }
    if (!train.steps.has_value() && !train.epochs.has_value()) {
      Missing("train: neither steps nor epochs is given; give one of them");
    }
    if (train.micro_batch.value_or(1) > train.global_batch) {
      Conflict("train.micro_batch", "train.global_batch",
               absl::StrCat("train.micro_batch ", *train.micro_batch, " is more than train.global_batch ",
                            train.global_batch));
    }
    const TrainConfig usual;
    const bool dynamic = train.loss_scale.kind == LossScaleValue::Kind::kDynamic;
    const struct {
      const char* key;
      bool given;
    } of_dynamic[] = {{"train.loss_scale_start", train.loss_scale_start != usual.loss_scale_start},
                      {"train.loss_scale_interval", train.loss_scale_interval != usual.loss_scale_interval}};
    for (const auto& [key, given] : of_dynamic) {
      if (!given || dynamic) continue;
      Conflict(key, "train.loss_scale",
               absl::StrCat(key, " means nothing without train.loss_scale: dynamic; leave it out"));
    }
  }

  void CheckOptimizer() {
    const OptimizerConfig& optimizer = config_.optimizer;
    const ScheduleConfig& schedule = optimizer.schedule;
    // A warm-up longer than the run is no contradiction: `--set train.steps=5` is how people try a config out.
    if (schedule.kind != "constant" && schedule.final_lr > optimizer.lr) {
      Conflict(
          "optimizer.schedule.final_lr", "optimizer.lr",
          absl::StrCat("optimizer.schedule.final_lr ", schedule.final_lr, " is above optimizer.lr ", optimizer.lr));
    }
  }

  void CheckMemory() {
    const MemoryConfig& memory = config_.memory;
    if (memory.warning_threshold > memory.critical_threshold) {
      Conflict("memory.warning_threshold", "memory.critical_threshold",
               absl::StrCat("memory.warning_threshold ", memory.warning_threshold,
                            " is above memory.critical_threshold ", memory.critical_threshold));
    }
    if (!memory.disk_path.empty()) return;
    if (memory.disk_limit.kind != BudgetValue::Kind::kAuto) {
      Conflict("memory.disk.limit", "memory.disk.path",
               "memory.disk.limit is given without memory.disk.path, the folder to use");
    }
    const OffloadConfig& offload = memory.offload;
    const struct {
      const char* key;
      const std::string& tier;
    } tiers[] = {{"memory.offload.optimizer", offload.optimizer},
                 {"memory.offload.gradients", offload.gradients},
                 {"memory.offload.parameters", offload.parameters},
                 {"memory.offload.activations", offload.activations}};
    for (const auto& [key, tier] : tiers) {
      if (tier == "disk") {
        Conflict(key, "memory.disk.path", absl::StrCat(key, ": disk is given without memory.disk.path, the folder"));
      }
    }
  }

  void CheckSharding() {
    if (config_.sharding.backend == "nccl" && config_.run.device == "cpu") {
      Conflict("sharding.backend", "run.device", "sharding.backend nccl needs run.device cuda, but run.device is cpu");
    }
  }

  const Config& config_;
  const PlaceOfKey& place_of_;
  const std::string& no_place_;
  const bool own_source_;
  absl::Status status_;
};

}  // namespace

absl::Status CheckContradictions(const Config& config, const PlaceOfKey& place_of, const std::string& no_place,
                                 bool own_source) {
  return Checker(config, place_of, no_place, own_source).Run();
}

}  // namespace stowage
