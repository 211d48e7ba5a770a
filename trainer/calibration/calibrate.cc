#include "trainer/calibration/calibrate.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <tuple>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "kernels/packing.h"
#include "nlohmann/json.hpp"
#include "sharding/launch.h"

namespace stowage {
namespace {

// Tokens of a micro-batch, and the plain model's width: small, but with products that pack.
constexpr int kSequences = 8, kContext = 64, kWidth = 192;

std::string ConfigText(const CalibratedCase& c, const std::string& folder) {
  const std::string model =
      c.recurrent ? absl::StrCat("{kind: rnn, cell: lstm, layers: 1, width: 128, context: ", kContext, "}")
                  : absl::StrCat("{kind: gpt2, layers: 2, width: ", kWidth, ", heads: 4, context: ", kContext, "}");
  return absl::StrCat("run: {name: calibration}\nmodel: ", model, "\ndata: {train: [", folder,
                      "/text.txt], format: text, ", "tokenizer: bytes, cache: ", folder,
                      "/data}\ntrain: {steps: 2, global_batch: ", kSequences * c.ranks, ", micro_batch: ", kSequences,
                      ", eval_sequences: ", kSequences, "}\nprecision: ", c.precision, "\n");
}

std::string MadeUpText() {
  std::string text;
  for (int line = 0; text.size() < (size_t{64} << 10); ++line) {
    absl::StrAppend(&text, "On day ", line, " of the passage the hold had ", (line * 7919) % 1000, " casks.\n");
  }
  return text;
}

std::string MpirunPath() {
  const char* const path = getenv("PATH");
  std::string folders = path == nullptr ? "" : path;
  while (!folders.empty()) {
    const size_t colon = folders.find(':');
    const std::string file = absl::StrCat(folders.substr(0, colon), "/mpirun");
    // By its name: an absolute path tells Open MPI to look for all of itself beside it, and /bin is a link.
    if (access(file.c_str(), X_OK) == 0) return "mpirun";
    folders = colon == std::string::npos ? "" : folders.substr(colon + 1);
  }
  return "";
}

// Runs a program to its end, with stdout and stderr in `log`; its wait status.
absl::StatusOr<int> RunProgram(const std::vector<std::string>& words, const std::string& log) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  const auto destroy = absl::MakeCleanup([&files] { posix_spawn_file_actions_destroy(&files); });
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  pid_t child = 0;
  const int error = posix_spawnp(&child, argv[0], &files, nullptr, argv.data(), environ);
  if (error != 0) return FileError(words[0], "start", error);
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return FileError(words[0], "wait for", errno);
  }
  return status;
}

// The last lines of what it said.
std::string LastWords(const std::string& log) {
  const absl::StatusOr<std::string> text = ReadFile(log);
  if (!text.ok()) return std::string(text.status().message());
  constexpr size_t kMost = 400;
  return text->size() > kMost ? text->substr(text->size() - kMost) : *text;
}

absl::Status ReadReport(const std::string& path, CalibratedCase* c) {
  STOWAGE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  try {
    const nlohmann::json report = nlohmann::json::parse(text);
    const nlohmann::json& peak = report.at("measured").at("at_rss_peak");
    for (const auto& [name, bytes] : peak.at("outside_bytes").items()) {
      // The pool's and windows' are the rehearsal's to tell.
      if (name.rfind("pool", 0) == 0 || name.find("windows") != std::string::npos || name == "tensors_unwritten")
        continue;
      c->bytes[name] = std::max<int64_t>(0, bytes.get<int64_t>());
    }
    c->bytes["unexplained"] = std::max<int64_t>(0, peak.at("unexplained_bytes").get<int64_t>());
    report.at("threads").get_to(c->threads);
  } catch (const nlohmann::json::exception& error) {
    return absl::InternalError(absl::StrCat(path, ": ", error.what()));
  }
  return absl::OkStatus();
}

absl::Status Measure(const std::string& folder, const std::string& mpirun, CalibratedCase* c) {
  const std::string name = absl::StrCat(folder, "/", c->recurrent ? "rnn-" : "gpt2-", c->precision, "-", c->ranks);
  STOWAGE_RETURN_IF_ERROR(WriteFileDurably(name + ".yaml", ConfigText(*c, folder)));
  char self[4096];
  const ssize_t length = readlink("/proc/self/exe", self, sizeof(self));
  if (length <= 0) return FileError("/proc/self/exe", "read", errno);
  std::vector<std::string> words;
  if (c->ranks > 1) {
    words = {mpirun, "-n", absl::StrCat(c->ranks), "--oversubscribe"};
    if (geteuid() == 0) words.push_back("--allow-run-as-root");
  }
  for (const std::string& word :
       {std::string(self, length), std::string("train"), name + ".yaml", std::string("--run-dir"), name}) {
    words.push_back(word);
  }
  STOWAGE_ASSIGN_OR_RETURN(const int status, RunProgram(words, name + ".log"));
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return absl::InternalError(absl::StrCat("a training of the calibration failed (wait status ", status,
                                            "); its last words: ", LastWords(name + ".log")));
  }
  STOWAGE_RETURN_IF_ERROR(ReadReport(name + "/report.json", c));
  // The largest product of the plain model: tokens by the feed-forward's width.
  c->product_bytes = kernels::PackingBytes(kSequences * kContext, 4 * kWidth, kWidth, static_cast<int>(c->threads));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Calibration> Calibrate(const std::function<void(const std::string&)>& tell) {
  if (UnderLauncher()) {
    return absl::FailedPreconditionError(
        "stowage calibrate starts its own ranks: run it once on a machine, without mpirun or srun");
  }
  const char* const tmp = getenv("TMPDIR");
  std::string folder = absl::StrCat(tmp == nullptr || tmp[0] == '\0' ? "/tmp" : tmp, "/stowage-calibration-XXXXXX");
  if (mkdtemp(folder.data()) == nullptr) return FileError(folder, "make", errno);
  const auto remove = absl::MakeCleanup([&folder] { (void)RemoveTree(folder); });
  STOWAGE_RETURN_IF_ERROR(WriteFileDurably(folder + "/text.txt", MadeUpText()));

  Calibration calibration;
  calibration.file.machine = ThisMachine();
  calibration.file.date = absl::FormatTime("%Y-%m-%d", absl::Now(), absl::LocalTimeZone());
  const std::string mpirun = MpirunPath();
  for (const auto& [recurrent, precision, ranks] : std::vector<std::tuple<bool, std::string, int>>{
           {false, "fp32", 1}, {false, "bf16", 1}, {true, "fp32", 1}, {true, "bf16", 1}, {false, "fp32", 2}}) {
    if (ranks > 1 && mpirun.empty()) {
      calibration.remarks.push_back("no mpirun in PATH: what MPI takes was not measured");
      continue;
    }
    CalibratedCase c;
    c.recurrent = recurrent;
    c.precision = precision;
    c.ranks = ranks;
    tell(absl::StrCat("training ", recurrent ? "an LSTM" : "a GPT", " in ", precision,
                      ranks > 1 ? " on two ranks" : ""));
    STOWAGE_RETURN_IF_ERROR(Measure(folder, mpirun, &c));
    calibration.file.cases.push_back(std::move(c));
  }
  return calibration;
}

}  // namespace stowage
