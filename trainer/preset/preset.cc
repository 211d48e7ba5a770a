#include "trainer/preset/preset.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/byte_size.h"
#include "base/status_macros.h"
#include "trainer/config/nearest.h"

namespace stowage {
namespace {

constexpr int64_t kGiB = int64_t{1} << 30;
constexpr int64_t kGB = 1'000'000'000;

bool Has(const std::vector<std::string>& names, const std::string& name) {
  return std::count(names.begin(), names.end(), name) > 0;
}

void ByKind(const PresetRequest& request, PresetFigures* figures, int64_t* pool) {
  if (Has(request.names, "transformer")) {
    figures->recompute_spans = std::max<int64_t>(1, request.layers / 3);
    figures->attention_chunk = std::min<int64_t>(512, request.context);
    figures->flash = request.context > 1024;
    *pool = 4 * kGiB;
  } else if (Has(request.names, "cnn")) {
    figures->recompute_spans = 2;
    *pool = 2 * kGiB;
  } else if (Has(request.names, "rnn")) {
    figures->recompute_spans = 0;
    figures->sequence_chunk = 100;
    *pool = kGiB;
  } else {
    return;
  }
  figures->recompute = *figures->recompute_spans > 0;
}

void ByMemory(int64_t host_bytes, PresetFigures* figures, int64_t* pool) {
  const struct {
    int64_t from, pool, chunk, spans;
  } tiers[] = {{64 * kGB, 8 * kGiB, 1024, 2}, {32 * kGB, 4 * kGiB, 512, 4}, {0, 2 * kGiB, 256, 8}};
  for (const auto& tier : tiers) {
    if (host_bytes < tier.from) continue;
    *pool = tier.pool;
    figures->attention_chunk = tier.chunk;
    figures->recompute_spans = tier.spans;
    figures->recompute = true;
    return;
  }
}

}  // namespace

const std::vector<std::string>& PresetNames() {
  static const auto* const names = new std::vector<std::string>{"transformer", "cnn", "rnn", "by_memory", "production"};
  return *names;
}

absl::Status CheckPresets(const std::vector<std::string>& names) {
  std::vector<std::string> kinds;
  for (const std::string& name : names) {
    if (!Has(PresetNames(), name)) {
      const std::string nearest = Nearest(name, PresetNames());
      return absl::InvalidArgumentError(absl::StrCat(
          "there is no preset ", name, nearest.empty() ? "" : absl::StrCat("; did you mean ", nearest, "?"),
          nearest.empty() ? absl::StrCat("; there are ", absl::StrJoin(PresetNames(), ", ")) : ""));
    }
    if (name == "transformer" || name == "cnn" || name == "rnn") kinds.push_back(name);
  }
  if (kinds.size() > 1) {
    return absl::InvalidArgumentError(absl::StrCat("presets ", kinds[0], " and ", kinds[1],
                                                   " are both for a kind of model; keep the one that the model is"));
  }
  return absl::OkStatus();
}

absl::StatusOr<PresetFigures> FiguresOf(const PresetRequest& request) {
  STOWAGE_RETURN_IF_ERROR(CheckPresets(request.names));
  PresetFigures figures;
  int64_t pool = 0;  // of the host
  ByKind(request, &figures, &pool);
  if (Has(request.names, "by_memory")) ByMemory(request.host_bytes, &figures, &pool);
  if (Has(request.names, "production")) {
    pool = request.host_bytes / 2;
    figures.recompute = true;
  }
  if (pool > 0) figures.pool_bytes = pool / std::max(1, request.ranks_on_host);
  return figures;
}

absl::StatusOr<std::vector<std::string>> PresetLines(const PresetRequest& request) {
  STOWAGE_ASSIGN_OR_RETURN(const PresetFigures figures, FiguresOf(request));
  std::vector<std::string> lines;
  if (request.names.empty()) return lines;
  const std::string name = absl::StrCat("preset ", absl::StrJoin(request.names, ", "), ": ");
  if (figures.recompute.value_or(false)) {
    // Production says that there shall be recompute, not how much.
    const std::string spans = figures.recompute_spans.value_or(0) > 0 ? absl::StrCat(*figures.recompute_spans, " spans")
                                                                      : std::string("activations");
    lines.push_back(absl::StrCat(name, "would recompute ", spans, "; memory.recompute decides"));
  }
  if (figures.attention_chunk.has_value()) {
    lines.push_back(absl::StrCat(name, "would take attention by chunks of ", *figures.attention_chunk,
                                 figures.flash.value_or(false) ? ", flash" : "",
                                 "; there is no key for it, model.attention decides (none of its kinds holds a matrix "
                                 "of scores)"));
  }
  if (figures.sequence_chunk.has_value()) {
    lines.push_back(absl::StrCat(name, "would cut sequences into chunks of ", *figures.sequence_chunk,
                                 "; not built yet, they are run whole"));
  }
  if (Has(request.names, "production")) {
    lines.push_back(absl::StrCat(name, "memory.host is 50% unless the config says otherwise: ",
                                 HumanByteSize(*figures.pool_bytes), " a rank, pool and all else"));
  } else if (figures.pool_bytes.has_value()) {
    lines.push_back(absl::StrCat(name, "would hold a rank's pool to ", HumanByteSize(*figures.pool_bytes),
                                 "; a pool has no bound of its own yet, memory.host bounds it and all else"));
  }
  return lines;
}

}  // namespace stowage
