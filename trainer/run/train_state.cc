#include "trainer/run/train_state.h"

#include <cmath>
#include <cstdio>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "trainer/optimizer/loss_scaler.h"

namespace stowage {
namespace {

absl::Status Bad(const std::string& name, const std::string& value) {
  return absl::DataLossError(absl::StrCat("the checkpoint's state: ", name, " cannot be \"", value, "\""));
}

}  // namespace

TrainState FirstTrainState(const Config& config) {
  TrainState state;
  state.micro_batch = *config.train.micro_batch;
  state.loss_scale = LossScaler(config.train).scale();
  return state;
}

std::map<std::string, std::string> TextsOf(const TrainState& state) {
  char scale[32];  // all digits of it: a resume goes on with the same bits
  std::snprintf(scale, sizeof(scale), "%.17g", state.loss_scale);
  return {{"micro_batch", absl::StrCat(state.micro_batch)},
          {"skipped_steps", absl::StrCat(state.skipped_steps)},
          {"skipped_in_a_row", absl::StrCat(state.skipped_in_a_row)},
          {"loss_scale", scale},
          {"clean_steps", absl::StrCat(state.clean_steps)}};
}

absl::StatusOr<TrainState> TrainStateOf(const std::map<std::string, std::string>& texts, const TrainState& otherwise) {
  TrainState state = otherwise;
  const struct {
    const char* name;
    int64_t least;
    int64_t* to;
  } counts[] = {{"micro_batch", 1, &state.micro_batch},
                {"skipped_steps", 0, &state.skipped_steps},
                {"skipped_in_a_row", 0, &state.skipped_in_a_row},
                {"clean_steps", 0, &state.clean_steps}};
  for (const auto& [name, least, to] : counts) {
    const auto found = texts.find(name);
    if (found == texts.end()) continue;
    if (!absl::SimpleAtoi(found->second, to) || *to < least) return Bad(name, found->second);
  }
  if (state.micro_batch > otherwise.micro_batch) return Bad("micro_batch", absl::StrCat(state.micro_batch));
  if (const auto found = texts.find("loss_scale"); found != texts.end()) {
    const bool number = absl::SimpleAtod(found->second, &state.loss_scale);
    if (!number || !std::isfinite(state.loss_scale) || state.loss_scale <= 0.0) return Bad("loss_scale", found->second);
  }
  return state;
}

std::string LinesOf(const std::map<std::string, std::string>& texts) {
  return absl::StrJoin(texts, "\n", absl::PairFormatter("="));
}

std::map<std::string, std::string> TextsOfLines(absl::string_view lines) {
  std::map<std::string, std::string> texts;
  for (absl::string_view line : absl::StrSplit(lines, '\n', absl::SkipEmpty())) {
    std::pair<std::string, std::string> text = absl::StrSplit(line, absl::MaxSplits('=', 1));
    texts.insert(std::move(text));
  }
  return texts;
}

}  // namespace stowage
