// One experiment, as typed values: what a YAML file says after includes, --set and defaults.
//
// Each field is declared once, with type, unit, default, range, effect and cost, in schema_*.cc; the parser,
// `stowage config --help`, the JSON Schema and docs/config.md come from that declaration. Here are only the
// values. Grouped as in the YAML. "auto" is an empty optional until Resolve() has filled it.
//
// Plain data: copy freely.
#ifndef STOWAGE_TRAINER_CONFIG_CONFIG_H_
#define STOWAGE_TRAINER_CONFIG_CONFIG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace stowage {

struct RunConfig {
  std::string name = "run";
  int64_t seed = 1;
  std::string device = "auto";     // cpu | cuda | auto; cuda is refused until it is built
  std::optional<int64_t> threads;  // per rank; auto: the cores this rank may use / ranks on the host
};

// Sizes of a model that a program brings itself: words and values as its kind declares them.
using OptionValue = std::variant<bool, int64_t, double, std::string>;
using ModelOptions = std::map<std::string, OptionValue>;

// Which key means something for which kind: model_keys.h.
struct ModelConfig {
  std::string kind = "gpt2";
  std::string init_from;                // Hugging Face folder to start from; LoadConfig takes kind and sizes from it
  int64_t layers = 6;
  int64_t width = 384;
  int64_t heads = 6;
  std::optional<int64_t> kv_heads;      // heads of keys and values; auto: heads
  std::string attention = "auto";       // auto | fused | chunked
  int64_t context = 256;                // tokens a sequence
  std::optional<int64_t> ffn;           // hidden width of the feed-forward; auto: 4 * width, llama's: about 8/3
  std::optional<int64_t> vocabulary;    // auto: what the data says
  double dropout = 0.0;
  bool bias = true;
  std::optional<bool> norm_bias;        // of LayerNorms; auto: as bias
  std::optional<bool> tie;              // the head uses the token embedding's matrix; auto: gpt2 does
  double norm_eps = 1e-5;               // llama
  double rope_theta = 10000.0;          // llama
  std::string cell = "lstm";            // rnn: lstm | gru
  std::optional<std::vector<int64_t>> input;  // shape of one sample's "inputs" (images, vectors); auto: the data's
  std::optional<int64_t> outputs;       // classes, or numbers to predict; auto: what the data says
  ModelOptions options;                 // of a kind that the program registered
  std::string loss = "auto";            // auto | cross_entropy | mse; resolved: what the data has, where it is samples
};

struct DataConfig {
  std::string source;                     // built-in data by name: "kjv"; empty: train/validation paths
  std::vector<std::string> train;         // paths, ${ENV} expanded
  std::vector<std::string> validation;    // paths
  std::string format = "auto";            // auto | text | jsonl | stowage | llmc | nanogpt | idx | csv | safetensors
  std::string field = "text";             // of a JSONL line
  std::string tokenizer;                  // bytes | bpe | none | a .model file's path; empty: auto, what the data says
  std::optional<int64_t> tokenizer_vocabulary;  // bpe: how many pieces to learn; auto: 8192
  double validation_fraction = 0.1;       // split off a source that has no validation part of its own
  std::vector<std::string> targets;       // csv: columns of numbers to predict
  std::string class_column;               // csv: the column that holds the class; exactly one of the two
  std::optional<std::vector<int64_t>> view;  // of a sample's inputs, where samples are no tokens; auto: as in the file
  std::string cache;                      // where prepared shards go; empty: $XDG_CACHE_HOME/stowage/data
};

// none, dynamic, or a number.
struct LossScaleValue {
  enum class Kind { kNone, kDynamic, kFixed } kind = Kind::kNone;
  double fixed = 1.0;
};

struct TrainConfig {
  std::optional<int64_t> steps;           // exactly one of steps and epochs
  std::optional<int64_t> epochs;          // an epoch's leftover samples make one last, smaller step
  int64_t global_batch = 16;              // sequences per step, over all ranks
  std::optional<int64_t> micro_batch;     // sequences per forward; auto: see Resolve()
  std::optional<int64_t> eval_every;      // steps; none: only at the end
  std::optional<int64_t> eval_sequences;  // of the validation set, spread evenly; none: all
  std::string reduce_per = "auto";        // micro | update | auto
  std::string zero_grad = "release";      // release | fill
  std::string lr_for_accumulation = "none";  // none | linear | sqrt: learning rate times micro-batches a step
  int64_t max_skipped_steps = 10;         // in a row, whose gradients are not finite; then the run ends
  LossScaleValue loss_scale;              // none | dynamic | a number
  double loss_scale_start = 65536.0;      // dynamic: the first scale
  int64_t loss_scale_interval = 2000;     // dynamic: steps with finite gradients before it is doubled
};

struct ScheduleConfig {
  std::string kind = "cosine";            // constant | linear | cosine
  int64_t warmup_steps = 0;
  double final_lr = 0.0;
};

struct OptimizerConfig {
  std::string kind = "adamw";             // adamw | sgd
  double lr = 1e-3;
  double beta1 = 0.9;                     // YAML: betas: [0.9, 0.95]
  double beta2 = 0.95;
  double eps = 1e-8;
  double momentum = 0.9;                  // sgd
  double weight_decay = 0.1;              // on matrices only (see ParameterSpec::decay)
  double grad_clip = 1.0;                 // global norm; 0: off
  ScheduleConfig schedule;
};

// Bytes, a share of what this rank may use, or auto.
struct BudgetValue {
  enum class Kind { kAuto, kBytes, kPercent } kind = Kind::kAuto;
  int64_t bytes = 0;
  double percent = 0.0;
};

struct OffloadConfig {                    // device | host | disk | auto
  std::string optimizer = "auto";
  std::string gradients = "auto";
  std::string parameters = "auto";
  std::string activations = "auto";
};

struct MemoryConfig {
  BudgetValue device;
  BudgetValue host;
  double warning_threshold = 0.75;        // shares of what host comes to
  double critical_threshold = 0.90;
  BudgetValue disk_limit;                 // disk: {limit, path}
  std::string disk_path;
  std::string recompute = "auto";         // resolved: none; ParseRecomputePolicy reads it
  OffloadConfig offload;
  std::optional<int64_t> trace;           // the first steps, whose memory is written down; none
  std::string allocator = "online";       // online | planned
};

struct ShardingConfig {
  std::optional<int64_t> zero;            // 0 | 1 | 2 | 3 | auto; resolved: 0
  int64_t gather_ahead = 1;               // groups of parameters, under zero 3
  std::string backend = "auto";           // auto | mpi | nccl
};

struct CheckpointConfig {
  std::optional<int64_t> every;           // steps; none: only at the end and on a signal
  std::optional<double> every_minutes;
  int64_t keep = 3;
};

struct Config {
  RunConfig run;
  ModelConfig model;
  DataConfig data;
  TrainConfig train;
  OptimizerConfig optimizer;
  std::vector<std::string> preset;        // of trainer/preset/preset.h
  std::string precision = "fp32";         // fp32 | bf16 | fp16
  std::vector<std::string> fp32_segments; // names or patterns of segments that compute in fp32 all the same
  MemoryConfig memory;
  ShardingConfig sharding;
  CheckpointConfig checkpoint;
  // Where each key was written ("a.yaml:7:3", "--set run.seed=2"), and each item of a list ("memory.recompute.0"): for
  // messages about what only the model can judge. Empty of a Config that a program made; no part of the experiment.
  std::map<std::string, std::string> places;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CONFIG_CONFIG_H_
