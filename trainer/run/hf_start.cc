#include "trainer/run/hf_start.h"

#include <cstdint>
#include <map>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "trainer/config/init_from.h"
#include "trainer/config/load.h"
#include "trainer/interop/hf_import.h"
#include "trainer/interop/hf_tokenizer.h"

namespace stowage {
namespace {

constexpr char kWhatToGive[] =
    "give token shards of the folder's vocabulary, made with its own tokenizer: data: {train: [tokens.bin], "
    "format: llmc} (or nanogpt)";

}  // namespace

absl::Status ReadHfWeights(const std::string& folder, const ModelConfig& config, const GroupStates& groups, int g,
                           float* whole) {
  std::map<std::string, ImportTarget> targets;
  for (int other = 0; other < static_cast<int>(groups.size()); ++other) {
    const GroupState& group = *groups[other];
    for (int i = 0; i < group.layout().parameters(); ++i) {
      const ParameterSpec& p = group.spec().parameters[i];
      targets[p.name] = {p.shape, other == g ? whole + group.layout().offset(i) : nullptr};
    }
  }
  return Annotate(ImportHfWeights(folder, config, targets), "model.init_from");
}

absl::Status CheckTokensOfFolder(const Config& config, const Data& data) {
  const std::string& folder = config.model.init_from;
  if (folder.empty()) return absl::OkStatus();
  STOWAGE_ASSIGN_OR_RETURN(const HfTokenizerKind kind, FindHfTokenizer(folder));
  const Tokenizer* const tokenizer = data.tokenizer.get();
  // Token files of which nothing is known: the person says that they are the folder's.
  if (tokenizer == nullptr) return absl::OkStatus();
  const auto refuse = [&](absl::string_view theirs, absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("model.init_from: ", folder, theirs, ", but the data's tokens are ",
                                                   tokenizer->kind() == "bytes" ? "bytes" : tokenizer->fingerprint(),
                                                   "; ", what));
  };
  switch (kind) {
    case HfTokenizerKind::kBytes:
      if (tokenizer->kind() == "bytes") return absl::OkStatus();
      return refuse(" was trained on bytes", "set data.tokenizer: bytes");
    case HfTokenizerKind::kSentencepiece: {
      STOWAGE_ASSIGN_OR_RETURN(const std::string model, TokenizerModelOfHfFolder(folder));
      if (tokenizer->model() == model) return absl::OkStatus();
      return refuse(" has a sentencepiece model of its own",
                    absl::StrCat("set data.tokenizer: ", HfSentencepiecePath(folder)));
    }
    case HfTokenizerKind::kNone:
      if (tokenizer->vocabulary() == config.model.vocabulary) return absl::OkStatus();
      return refuse(absl::StrCat(" has no tokenizer, and ", config.model.vocabulary.value_or(0), " tokens"),
                    kWhatToGive);
    case HfTokenizerKind::kOther:
      break;
  }
  return refuse(" has a tokenizer that Stowage does not read", kWhatToGive);
}

absl::StatusOr<std::string> TokenizerModelOfHfFolder(const std::string& folder) {
  STOWAGE_ASSIGN_OR_RETURN(const HfTokenizerKind kind, FindHfTokenizer(folder));
  if (kind != HfTokenizerKind::kSentencepiece) return std::string();
  return ReadFile(HfSentencepiecePath(folder));
}

absl::StatusOr<Config> ConfigOfHfFolder(const std::string& folder) {
  STOWAGE_ASSIGN_OR_RETURN(const HfTokenizerKind kind, FindHfTokenizer(folder));
  if (kind != HfTokenizerKind::kBytes && kind != HfTokenizerKind::kSentencepiece) {
    return absl::UnimplementedError(
        absl::StrCat(folder,
                     ": a Hugging Face folder whose tokenizer Stowage does not read; it reads tokenizer.model and "
                     "the byte tokenizer that `stowage export` writes"));
  }
  Config config;
  config.model.init_from = folder;
  STOWAGE_RETURN_IF_ERROR(TakeInitFrom([](const std::string&) { return std::string(); }, config));
  // A config must name data and a length; nobody reads these.
  config.data.train = {"none"};
  config.train.steps = 1;
  if (kind == HfTokenizerKind::kBytes) config.data.tokenizer = "bytes";
  DataShape shape;
  shape.vocabulary = *config.model.vocabulary;
  return ResolveConfig(config, shape);
}

bool IsHfFolder(const std::string& folder) { return PathExists(absl::StrCat(folder, "/config.json")); }

}  // namespace stowage
