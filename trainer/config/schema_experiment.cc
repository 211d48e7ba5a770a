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
              "gpt2: learned positions, LayerNorm before each half of a layer, GELU. llama: rotary positions, RMSNorm, "
              "SwiGLU, no biases. mlp: hidden layers with ReLU, of samples of any shape. cnn: residual blocks with "
              "GroupNorm, of images. rnn: LSTM or GRU layers, of tokens or of sequences of vectors. A key that means "
              "nothing for the kind is an error unless it has its default."),
      Declare(STOWAGE_FIELD(model.init_from), EmptyAs("none", Path()), "", Effect::kResults,
              "gpt2, llama: a Hugging Face folder to start from: config.json decides kind and sizes (a key that says "
              "otherwise is an error; context may be less), the safetensors are the starting weights. ${NAME} is put "
              "in. none: weights are drawn from run.seed."),
      Declare(STOWAGE_FIELD(model.layers), WholeNumber(1, 10000), "layers", Effect::kResults,
              "gpt2, llama: layers, each attention and feed-forward. mlp: hidden layers. cnn: residual blocks, spread "
              "over three stages. rnn: recurrent layers. Time and memory grow in proportion."),
      Declare(STOWAGE_FIELD(model.width), WholeNumber(1, 1 << 20), "elements", Effect::kResults,
              "Elements of a token's vector between layers (gpt2 and llama: a multiple of heads; a layer has about 12 * "
              "width * width weights); of a hidden layer (mlp) or state (rnn). cnn: channels of the first stage; each "
              "stage doubles them."),
      Declare(STOWAGE_FIELD(model.heads), WholeNumber(1, 1 << 16), "heads", Effect::kResults,
              "gpt2, llama: attention heads; each sees width / heads elements."),
      Declare(STOWAGE_FIELD(model.kv_heads), Optional("auto", WholeNumber(1, 1 << 16)), "heads", Effect::kResults,
              "llama: heads of keys and values, a divisor of heads; heads / kv_heads queries share one (grouped-query "
              "attention). auto: heads."),
      Declare(STOWAGE_FIELD(model.attention), Choice({"auto", "fused", "chunked"}), "", Effect::kResults,
              "gpt2, llama: how attention is computed; results differ in the last bits. chunked: Stowage's own, by tiles "
              "of queries and keys. fused: LibTorch's. Neither holds a matrix of context * context. auto: chunked on "
              "CPUs, where it was the faster at every length measured; elsewhere fused above 1024 tokens."),
      Declare(STOWAGE_FIELD(model.context), WholeNumber(1, 1 << 24), "tokens", Effect::kResults,
              "Tokens of a sequence, where samples are tokens. Attention's time grows with its square."),
      Declare(STOWAGE_FIELD(model.ffn), Optional("auto", WholeNumber(1, 1 << 22)), "elements", Effect::kResults,
              "gpt2, llama: hidden width of the feed-forward half. auto: 4 * width; llama: 8/3 * width, rounded up to a "
              "multiple of 256."),
      Declare(STOWAGE_FIELD(model.vocabulary), Optional("auto", WholeNumber(1, 1 << 24)), "tokens", Effect::kResults,
              "Rows of the embedding; at least what the data needs. auto: what the data needs."),
      Declare(STOWAGE_FIELD(model.dropout), Number({0.0, 1.0, false, true}), "share", Effect::kResults,
              "Share of activations set to zero while training, against overfitting: of the embedding and of each "
              "half of a layer (gpt2, llama), of each layer's output (mlp, rnn), before the head (cnn)."),
      Declare(STOWAGE_FIELD(model.bias), TrueOrFalse(), "", Effect::kResults,
              "Biases in linear layers and LayerNorms (gpt2), in every layer (mlp, rnn)."),
      Declare(STOWAGE_FIELD(model.norm_bias), Optional("auto", TrueOrFalse()), "", Effect::kResults,
              "gpt2: biases in LayerNorms. auto: as bias."),
      Declare(STOWAGE_FIELD(model.tie), Optional("auto", TrueOrFalse()), "", Effect::kResults,
              "The head uses the token embedding's matrix: vocabulary * width weights fewer. auto: true for gpt2, false "
              "for llama and rnn."),
      Declare(STOWAGE_FIELD(model.norm_eps), Number({0.0, 1.0, true, true}), "", Effect::kResults,
              "llama: what RMSNorm adds to the mean square."),
      Declare(STOWAGE_FIELD(model.rope_theta), Number({1.0, 1e12, true, false}), "", Effect::kResults,
              "llama: base of the rotary embedding's wavelengths."),
      Declare(STOWAGE_FIELD(model.cell), Choice({"lstm", "gru"}), "", Effect::kResults, "rnn: the recurrent cell."),
      Declare(STOWAGE_FIELD(model.input), Optional("auto", Shape()), "elements", Effect::kResults,
              "Shape of one sample, where samples are no tokens: [channels, height, width], [features] or [time, "
              "features]. auto: the data's."),
      Declare(STOWAGE_FIELD(model.outputs), Optional("auto", WholeNumber(1, 1 << 24)), "", Effect::kResults,
              "Classes, or numbers to predict, where samples are no tokens. auto: the data's."),
      Declare(STOWAGE_FIELD(model.loss), Choice({"auto", "cross_entropy", "mse"}), "", Effect::kResults,
              "Where samples are no tokens: cross_entropy over classes, or mse, the mean squared error of the numbers. "
              "auto: what the data has. Tokens always have cross-entropy."),
      Declare(STOWAGE_FIELD(model.options), Options(), "", Effect::kResults,
              "Sizes of a kind of model that the program itself brings (docs/library.md), as that kind declares them; "
              "`PROGRAM config --keys` lists them."),

      // data
      Declare(STOWAGE_FIELD(data.source), EmptyAs("none", Choice({"kjv", "fashion-mnist"})), "", Effect::kResults,
              "Built-in data. kjv: the King James Bible of Debian's package bible-kjv, prepared on first use. "
              "fashion-mnist: 70,000 images of clothes in 10 classes, of Debian's package dataset-fashion-mnist. none: "
              "train names the files."),
      Declare(
          STOWAGE_FIELD(data.train), Paths(), "", Effect::kResults,
          "Files to learn from, instead of source: text, token files, tables, patterns (data/train_*.bin), one folder that "
          "`stowage prepare` made, or [images, labels] of format idx. ${NAME} is put in from the environment."),
      Declare(STOWAGE_FIELD(data.validation), Paths(), "", Effect::kRecord,
              "Files to evaluate on. []: validation_fraction of a text, or of samples, is split off; token files alone "
              "have none."),
      Declare(STOWAGE_FIELD(data.format), Choice({"auto", "text", "jsonl", "stowage", "llmc", "nanogpt", "idx", "csv",
                                                   "safetensors"}),
              "", Effect::kResults,
              "What the files are: text, JSON lines, Stowage's token shards, llm.c's token files, nanoGPT's uint16 "
              "tokens; images and labels (idx), a table of numbers (csv), tensors inputs and targets (safetensors). "
              "auto: told by header, then by name; nanogpt has no header and must be named."),
      Declare(STOWAGE_FIELD(data.field), Text(), "", Effect::kResults, "The field of a JSON line that holds the text."),
      Declare(STOWAGE_FIELD(data.tokenizer), EmptyAs("auto", Tokenizer()), "", Effect::kResults,
              "How text becomes tokens. bytes: 256 of them, one per byte. bpe: subwords, learned from the training text. "
              "PATH.model: a SentencePiece model made elsewhere; with token files, the one they were made with. none: "
              "token files of which that is not known, so that sampling is refused. auto: a prepared folder's own; bytes "
              "for text; none for token files."),
      Declare(STOWAGE_FIELD(data.tokenizer_vocabulary), Optional("auto", WholeNumber(1, 1 << 24)), "tokens",
              Effect::kResults,
              "bpe: how many tokens to learn, 259 for bytes and control among them. More make sequences shorter and the "
              "embedding larger. auto: 8192."),
      Declare(STOWAGE_FIELD(data.validation_fraction), Number({0.0, 1.0, false, true}), "share", Effect::kResults,
              "Split off the end of a text, or of a file of samples, that has no validation part of its own. 0: none, and "
              "no evaluation."),
      Declare(STOWAGE_FIELD(data.targets), Columns(), "", Effect::kResults,
              "csv: the columns to predict, which hold numbers. All columns that are neither these nor class_column are "
              "inputs."),
      Declare(STOWAGE_FIELD(data.class_column), EmptyAs("none", Text()), "", Effect::kResults,
              "csv: the column that holds the class to predict, as a number or a word. A csv file needs it or targets."),
      Declare(STOWAGE_FIELD(data.view), Optional("auto", Shape()), "elements", Effect::kResults,
              "The shape in which a sample's inputs are given, where samples are no tokens; as many elements as in the "
              "file. [28, 28] shows a [1, 28, 28] image as 28 steps of 28 features. auto: as the file has it."),
      Declare(STOWAGE_FIELD(data.cache), EmptyAs("auto", Path()), "", Effect::kRecord,
              "Folder for prepared token shards; ${NAME} is put in. auto: $XDG_CACHE_HOME/stowage/data, else "
              "~/.cache/stowage/data."),
  };
}

}  // namespace stowage
