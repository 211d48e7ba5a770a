// train, optimizer, precision.
#include "trainer/config/schema_sections.h"

namespace stowage {
namespace {

// One key, two members.
Field Betas() {
  const auto get = [](Config& c) {
    struct Pair {
      OptimizerConfig& optimizer;
      operator std::pair<double, double>() const { return {optimizer.beta1, optimizer.beta2}; }
      void operator=(const std::pair<double, double>& value) {
        optimizer.beta1 = value.first;
        optimizer.beta2 = value.second;
      }
    };
    return Pair{c.optimizer};
  };
  return Declare("optimizer.betas", get, NumberPair({0.0, 1.0, false, true}), "", Effect::kResults,
                 "AdamW: how slowly the running means of the gradient and of its square forget.");
}

}  // namespace

std::vector<Field> TrainingFields() {
  return {
      // train
      Declare(STOWAGE_FIELD(train.steps), Optional("none", WholeNumber(1)), "steps", Effect::kResults,
              "Updates in all. Exactly one of steps and epochs is given."),
      Declare(STOWAGE_FIELD(train.epochs), Optional("none", WholeNumber(1)), "epochs", Effect::kResults,
              "Passes over the data; what is left over at the end of one makes a last, smaller step."),
      Declare(STOWAGE_FIELD(train.global_batch), WholeNumber(1), "sequences", Effect::kResults,
              "Sequences of one step, over all ranks."),
      Declare(STOWAGE_FIELD(train.micro_batch), Optional("auto", WholeNumber(1)), "sequences", Effect::kResults,
              "Sequences of one forward and backward; activations grow with it, results differ in rounding. auto: the "
              "largest divisor of global_batch up to 16 with micro_batch * context <= 4096 tokens, at least 1, "
              "whatever the number of ranks; a step that runs short of memory is repeated with half of it, and so are "
              "those after it."),
      Declare(STOWAGE_FIELD(train.eval_every), Optional("none", WholeNumber(1)), "steps", Effect::kRecord,
              "Steps between evaluations on the validation set. none: only at the end."),
      Declare(STOWAGE_FIELD(train.eval_sequences), Optional("all", WholeNumber(1)), "sequences", Effect::kRecord,
              "Sequences of one evaluation, spread evenly over the validation set."),
      Declare(STOWAGE_FIELD(train.reduce_per), Choice({"micro", "update", "auto"}), "", Effect::kResults,
              "When ranks sum their gradients: after each micro-batch, or once before the update (less traffic); the "
              "two differ in rounding. auto: update, and micro where sharding.zero is 2 or 3."),
      Declare(STOWAGE_FIELD(train.zero_grad), Choice({"release", "fill"}), "", Effect::kSpeed,
              "After a step gradient buffers are given back, or kept and filled with zeros."),
      Declare(STOWAGE_FIELD(train.lr_for_accumulation), Choice({"none", "linear", "sqrt"}), "", Effect::kResults,
              "Multiplies the learning rate by the micro-batches of a step, by their square root, or not. They are counted "
              "as micro_batch cuts them, also where a shortage of memory has made it smaller."),
      Declare(STOWAGE_FIELD(train.max_skipped_steps), WholeNumber(1), "steps", Effect::kResults,
              "A step whose loss or gradients are not finite updates nothing: its samples are used up, the learning "
              "rate's schedule and the optimizer's own count wait. After so many in a row the run ends."),
      Declare(STOWAGE_FIELD(train.loss_scale), LossScale(), "", Effect::kResults,
              "Multiplies the loss's gradient before it flows back; the update divides by it. For narrow numbers; a "
              "power of two changes no bit where nothing over- or underflows. dynamic: halved when a step is skipped, "
              "doubled after loss_scale_interval steps that were not."),
      Declare(STOWAGE_FIELD(train.loss_scale_start), Number({0.0, 1e38, true}), "", Effect::kResults,
              "dynamic: the first scale."),
      Declare(STOWAGE_FIELD(train.loss_scale_interval), WholeNumber(1), "steps", Effect::kResults,
              "dynamic: steps in a row with finite gradients before the scale is doubled."),

      // optimizer
      Declare(STOWAGE_FIELD(optimizer.kind), Choice({"adamw", "sgd"}), "", Effect::kResults,
              "adamw keeps 8 bytes a weight, sgd with momentum 4, sgd without none."),
      Declare(STOWAGE_FIELD(optimizer.lr), Number({0.0, 1000.0, true}), "", Effect::kResults,
              "Learning rate at the end of the warm-up."),
      Betas(),
      Declare(STOWAGE_FIELD(optimizer.eps), Number({0.0, 1.0, true}), "", Effect::kResults,
              "AdamW: added to the root of the second mean, against division by zero."),
      Declare(STOWAGE_FIELD(optimizer.momentum), Number({0.0, 1.0, false, true}), "", Effect::kResults,
              "sgd: share of the last update that is kept."),
      Declare(STOWAGE_FIELD(optimizer.weight_decay), Number({0.0, 1000.0}), "", Effect::kResults,
              "Pulls matrices towards zero, in proportion to the learning rate; biases and norms are left alone."),
      Declare(STOWAGE_FIELD(optimizer.grad_clip), Number({0.0}), "", Effect::kResults,
              "Largest global norm of the gradients; longer ones are scaled down to it. 0: off."),

      // optimizer.schedule
      Declare(STOWAGE_FIELD(optimizer.schedule.kind), Choice({"constant", "linear", "cosine"}), "", Effect::kResults,
              "The curve after the warm-up. constant stays at lr."),
      Declare(STOWAGE_FIELD(optimizer.schedule.warmup_steps), WholeNumber(0), "steps", Effect::kResults,
              "Steps in which the learning rate rises from 0 to lr."),
      Declare(STOWAGE_FIELD(optimizer.schedule.final_lr), Number({0.0, 1000.0}), "", Effect::kResults,
              "Learning rate at the last step, for linear and cosine; not above lr."),

      // top
      Declare(STOWAGE_FIELD(preset), Presets(), "", Effect::kSpeed,
              "Figures that fit a kind of model (transformer, cnn, rnn), the machine's memory (by_memory) or production; "
              "production is stronger than by_memory, and this than a kind. Keys that the config gives win over all. "
              "What is in force today: production makes memory.host 50%. The rest is computed, and said at the start "
              "not to be in force."),
      Declare(STOWAGE_FIELD(precision), Choice({"fp32", "bf16", "fp16"}), "", Effect::kResults,
              "Numbers that forward and backward compute in. bf16: half the bytes of activations, and a copy of the "
              "weights in bf16 beside the fp32 ones; losses, norms, gradients and updates stay fp32.")
          .Built({"fp32", "bf16"}),
      Declare(STOWAGE_FIELD(fp32_segments), Patterns(), "", Effect::kResults,
              "Segments that compute in fp32 whatever precision says, by the names that plan.json gives them: [head], "
              "[\"*.attn\"]. One that no segment has is an error."),
  };
}

}  // namespace stowage
