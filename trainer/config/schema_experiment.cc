// run, model, data.
#include "trainer/config/schema_sections.h"

namespace stowage {

std::vector<Field> ExperimentFields() {
  return {
      // run
      Declare(STOWAGE_FIELD(run.name), Name(), "", Effect::kRecord,
              "Names the run; its folder is runs/NAME unless --run-dir says otherwise."),
      Declare(STOWAGE_FIELD(run.seed), WholeNumber(0), "", Effect::kResults,
              "Fixes everything that looks random: initial weights, order of samples, dropout."),
      Declare(STOWAGE_FIELD(run.device), Choice({"cpu", "cuda", "auto"}), "", Effect::kSpeed,
              "What computes. auto is cpu.")
          .Built({"cpu"}),
      Declare(STOWAGE_FIELD(run.threads), Optional("auto", WholeNumber(1, 4096)), "threads per rank", Effect::kResults,
              "Threads that compute; results differ in the last bits with another number. auto: the cores this rank "
              "may use, divided by the ranks on its host, decided and printed at launch."),

      // model
      Declare(STOWAGE_FIELD(model.kind), Choice({"gpt2", "llama", "mlp", "cnn", "rnn"}), "", Effect::kResults,
              "gpt2: learned positions, LayerNorm before each half of a layer, GELU.")
          .Built({"gpt2"}),
      Declare(STOWAGE_FIELD(model.layers), WholeNumber(1, 10000), "layers", Effect::kResults,
              "Layers, each attention and feed-forward. Time and memory grow in proportion."),
      Declare(STOWAGE_FIELD(model.width), WholeNumber(1, 1 << 20), "elements", Effect::kResults,
              "Elements of a token's vector between layers; a multiple of heads. A layer has about 12 * width * width "
              "weights."),
      Declare(STOWAGE_FIELD(model.heads), WholeNumber(1, 1 << 16), "heads", Effect::kResults,
              "Attention heads; each sees width / heads elements."),
      Declare(STOWAGE_FIELD(model.context), WholeNumber(1, 1 << 24), "tokens", Effect::kResults,
              "Tokens of a sequence. Attention's time grows with its square."),
      Declare(STOWAGE_FIELD(model.ffn), Optional("auto", WholeNumber(1, 1 << 22)), "elements", Effect::kResults,
              "Hidden width of the feed-forward half. auto: 4 * width."),
      Declare(STOWAGE_FIELD(model.vocabulary), Optional("auto", WholeNumber(1, 1 << 24)), "tokens", Effect::kResults,
              "Rows of the embedding; at least what the data needs. auto: what the data needs."),
      Declare(STOWAGE_FIELD(model.dropout), Number({0.0, 1.0, false, true}), "share", Effect::kResults,
              "Share of activations set to zero while training, against overfitting."),
      Declare(STOWAGE_FIELD(model.bias), TrueOrFalse(), "", Effect::kResults,
              "Biases in linear layers and LayerNorms."),
      Declare(STOWAGE_FIELD(model.tie), TrueOrFalse(), "", Effect::kResults,
              "The head uses the token embedding's matrix: vocabulary * width weights fewer."),
      Declare(STOWAGE_FIELD(model.input), Optional("auto", Shape()), "elements", Effect::kResults,
              "Shape of one sample, where samples are no tokens: [channels, height, width], [features] or [time, "
              "features]. auto: the data's."),
      Declare(STOWAGE_FIELD(model.outputs), Optional("auto", WholeNumber(1, 1 << 24)), "", Effect::kResults,
              "Classes, or numbers to predict, where samples are no tokens. auto: the data's."),

      // data
      Declare(STOWAGE_FIELD(data.source), EmptyAs("none", Choice({"kjv"})), "", Effect::kResults,
              "A built-in text. kjv: the King James Bible of Debian's package bible-kjv, prepared on first use. none: "
              "train names the files."),
      Declare(
          STOWAGE_FIELD(data.train), Paths(), "", Effect::kResults,
          "Files to learn from, instead of source: text, token files, patterns (data/train_*.bin), or one folder that "
          "`stowage prepare` made. ${NAME} is put in from the environment."),
      Declare(STOWAGE_FIELD(data.validation), Paths(), "", Effect::kRecord,
              "Files to evaluate on. []: validation_fraction of a text is split off; token files alone have none."),
      Declare(STOWAGE_FIELD(data.format), Choice({"auto", "text", "jsonl", "stowage", "llmc", "nanogpt"}), "",
              Effect::kResults,
              "What the files are: text, JSON lines, Stowage's token shards, llm.c's token files, nanoGPT's uint16 "
              "tokens. auto: told by header, then by name; nanogpt has no header and must be named."),
      Declare(STOWAGE_FIELD(data.field), Text(), "", Effect::kResults, "The field of a JSON line that holds the text."),
      Declare(STOWAGE_FIELD(data.tokenizer), Choice({"bytes"}), "", Effect::kResults,
              "How text becomes tokens. bytes: 256 of them, one per byte."),
      Declare(STOWAGE_FIELD(data.validation_fraction), Number({0.0, 1.0, false, true}), "share", Effect::kResults,
              "Split off the end of a text that has no validation part of its own. 0: none, and no evaluation."),
      Declare(STOWAGE_FIELD(data.cache), EmptyAs("auto", Path()), "", Effect::kRecord,
              "Folder for prepared token shards; ${NAME} is put in. auto: $XDG_CACHE_HOME/stowage/data, else "
              "~/.cache/stowage/data."),
  };
}

}  // namespace stowage
