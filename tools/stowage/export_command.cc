#include <cstdio>
#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "base/byte_size.h"
#include "base/exit_code.h"
#include "base/status_macros.h"
#include "tools/stowage/command.h"
#include "trainer/run/speak.h"
#include "trainer/interop/export_run.h"

namespace stowage {
namespace {

constexpr char kLesson[] =
    "Writes a run's newest whole checkpoint (or the checkpoint folder given itself) as a folder that Hugging Face's\n"
    "transformers loads: a gpt2 as GPT2LMHeadModel, a llama as LlamaForCausalLM, with its tokenizer. Weights are "
    "fp32,\n"
    "bit for bit. The folder appears whole or not at all. `model: {init_from: DIR}` starts a run from such a folder.\n"
    "\n"
    "  stowage export runs/kjv-gpt --to exported/kjv-gpt\n"
    "  python3 -c \"from transformers import AutoModelForCausalLM as M; M.from_pretrained('exported/kjv-gpt')\"\n";

struct Arguments {
  std::string run;
  std::string to;
  std::string shard_size = "4GiB";
};

absl::Status RunExportCommand(const Arguments& arguments) {
  STOWAGE_ASSIGN_OR_RETURN(const int64_t shard_bytes, ParseByteSize(arguments.shard_size));
  STOWAGE_ASSIGN_OR_RETURN(const RunExport done, ExportRun(arguments.run, arguments.to, shard_bytes));
  for (const std::string& line : done.outcome.said) Complain(line);
  std::fputs(absl::StrFormat("%s: %s of step %d, %s in %d %s, from %s\n", arguments.to, done.outcome.kind, done.step,
                             HumanByteSize(done.outcome.weight_bytes), done.outcome.files,
                             done.outcome.files == 1 ? "file" : "files", done.checkpoint)
                 .c_str(),
             stdout);
  return absl::OkStatus();
}

int Run(const Arguments& arguments) {
  if (!IsFirstRank()) return kExitOk;  // one process does it
  const absl::Status status = RunExportCommand(arguments);
  if (status.ok()) return kExitOk;
  Complain(status.message());
  return kExitFailure;
}

}  // namespace

Command ExportCommand() {
  return {"export", "Write a run's model for Hugging Face's transformers", kLesson,
          [](CLI::App& app) -> std::function<int()> {
            auto arguments = std::make_shared<Arguments>();
            app.add_option("RUN", arguments->run, "A run folder, or one of its checkpoint folders")->required();
            app.add_option("--to", arguments->to, "The folder to write: new, or empty")->required();
            app.add_option("--shard-size", arguments->shard_size, "Weights beyond this go to several files")
                ->check([](const std::string& text) -> std::string {
                  const absl::StatusOr<int64_t> bytes = ParseByteSize(text);
                  if (!bytes.ok()) return std::string(bytes.status().message());
                  return *bytes > 0 ? "" : "must be more than nothing";
                })
                ->capture_default_str();
            return [arguments] { return Run(*arguments); };
          }};
}

}  // namespace stowage
