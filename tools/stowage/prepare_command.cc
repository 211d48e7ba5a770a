#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/byte_size.h"
#include "base/exit_code.h"
#include "tools/stowage/command.h"
#include "trainer/run/speak.h"
#include "trainer/data/prepare.h"

namespace stowage {
namespace {

constexpr char kLesson[] =
    "Turns text files or JSON lines into token shards that training reads at no cost of memory: train.stow,\n"
    "validation.stow, meta.json and, of a learned tokenizer, tokenizer.model in one folder. Inputs may be larger than memory. Training prepares what a config\n"
    "names by itself, into a cache; this is for doing it beforehand, once, where you want it.\n"
    "\n"
    "  stowage prepare book1.txt book2.txt --output data/books\n"
    "  stowage prepare dump.jsonl --field body --validation-fraction 0.01 --output data/dump\n"
    "  stowage prepare book.txt --tokenizer bpe --vocab-size 4096 --output data/book\n"
    "\n"
    "The tokenizer: bytes (256 tokens), bpe (subwords learned from the training text), or a SentencePiece model made\n"
    "elsewhere (PATH.model). In a config: data: {train: data/books}\n";

// On a terminal a line that is written over; in a pipe nothing, because the result follows.
class ProgressLine {
 public:
  ProgressLine() : shown_(isatty(STDERR_FILENO) != 0) {}
  void Show(int64_t done, int64_t total) {
    if (!shown_ || total <= 0) return;
    const int permille = static_cast<int>(1000.0 * done / total);
    if (permille == permille_) return;
    permille_ = permille;
    std::fputs(
        absl::StrFormat("\r%5.1f %%  %s of %s ", permille / 10.0, HumanByteSize(done), HumanByteSize(total)).c_str(),
        stderr);
  }
  void Clear() {
    if (permille_ >= 0) std::fputs("\r\033[K", stderr);
  }

 private:
  const bool shown_;
  int permille_ = -1;
};

int Run(PrepareRequest request) {
  if (!IsFirstRank()) return kExitOk;  // one process does it
  ProgressLine line;
  request.progress = [&line](int64_t done, int64_t total) { line.Show(done, total); };
  const absl::StatusOr<PreparedData> data = PrepareData(request);
  line.Clear();
  if (!data.ok()) {
    Complain(data.status().message());
    return kExitFailure;
  }
  std::fputs(absl::StrFormat("%s: %d documents, %d tokens to train on, %d for validation, vocabulary %d (%s)\n",
                             request.output, data->documents, data->train.tokens,
                             data->validation ? data->validation->tokens : 0, data->vocabulary, data->tokenizer)
                 .c_str(),
             stdout);
  return kExitOk;
}

}  // namespace

Command PrepareCommand() {
  return {"prepare", "Turn text into token shards", kLesson, [](CLI::App& app) -> std::function<int()> {
            auto request = std::make_shared<PrepareRequest>();
            app.add_option("FILES", request->train, "Text or JSONL files, in this order")->required();
            app.add_option("--output", request->output, "The folder to write")->required();
            app.add_option("--validation", request->validation,
                           "Files to evaluate on; a part is split off unless given");
            app.add_option("--validation-fraction", request->validation_fraction, "How much to split off")
                ->check(CLI::Range(0.0, 0.999))
                ->capture_default_str();
            app.add_option("--format", request->format, "What the files are")
                ->check(CLI::IsMember({"auto", "text", "jsonl"}))
                ->capture_default_str();
            app.add_option("--field", request->field, "The field of a JSON line that holds the text")
                ->capture_default_str();
            app.add_option("--tokenizer", request->tokenizer, "How text becomes tokens: bytes, bpe or PATH.model")
                ->capture_default_str();
            app.add_option("--vocab-size", request->vocabulary,
                           absl::StrCat("Tokens to learn, for bpe; ", kBpeVocabulary, " unless given"))
                ->check(CLI::Range(int64_t{1}, int64_t{1} << 24));
            app.add_flag("--replace", request->replace, "Make the folder anew if it is complete already");
            return [request] { return Run(*request); };
          }};
}

}  // namespace stowage
