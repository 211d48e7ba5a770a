#include "trainer/schedule/recompute_policy.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/check.h"
#include "trainer/config/name_pattern.h"
#include "trainer/config/nearest.h"

namespace stowage {
namespace {

bool IsNumber(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
}

int RoundedRoot(int n) { return std::max(1, static_cast<int>(std::lround(std::sqrt(static_cast<double>(n))))); }

// Each chosen segment but the last for itself.
RecomputeSpans Each(int segments, const std::function<bool(int)>& chosen) {
  RecomputeSpans spans;
  for (int s = 0; s + 1 < segments; ++s) {
    if (chosen(s)) spans.push_back({s, s + 1, {}});
  }
  return spans;
}

RecomputeSpans Layers(const std::vector<std::string>& segments) {
  RecomputeSpans spans;
  std::string open;  // the layer of the last span, as long as it goes on
  for (int s = 0; s < static_cast<int>(segments.size()); ++s) {
    const std::string layer = PartOf(segments[s]).layer;
    if (!layer.empty() && layer == open) {
      spans.back().end = s + 1;
    } else if (!layer.empty()) {
      spans.push_back({s, s + 1, {}});
    }
    open = layer;
  }
  return spans;
}

std::string Names(const std::vector<std::string>& segments) {
  if (segments.size() <= 8) return absl::StrJoin(segments, ", ");
  return absl::StrCat("from ", segments.front(), " and ", segments[1], " to ", segments.back());
}

bool FitsSome(const std::string& pattern, const std::vector<std::string>& segments) {
  return std::any_of(segments.begin(), segments.end(),
                     [&](const std::string& segment) { return MatchesPattern(segment, pattern); });
}

absl::StatusOr<RecomputeSpans> Named(const std::vector<std::string>& patterns,
                                     const std::vector<std::string>& segments) {
  for (const std::string& pattern : patterns) {
    if (FitsSome(pattern, segments)) continue;
    const std::string nearest = Nearest(pattern, segments);
    return absl::InvalidArgumentError(absl::StrCat(
        "no segment of this model is called ", pattern, "; ",
        nearest.empty() ? absl::StrCat("they are ", Names(segments)) : absl::StrCat("did you mean ", nearest, "?")));
  }
  RecomputeSpans spans = Each(static_cast<int>(segments.size()), [&](int s) {
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](const std::string& pattern) { return MatchesPattern(segments[s], pattern); });
  });
  if (!spans.empty()) return spans;
  return absl::InvalidArgumentError(
      absl::StrCat(segments.back(), " is the last segment: its backward comes at once, so there is nothing to gain"));
}

absl::StatusOr<RecomputeSpans> OfKind(SegmentPart::Kind kind, const std::vector<std::string>& segments) {
  RecomputeSpans spans =
      Each(static_cast<int>(segments.size()), [&](int s) { return PartOf(segments[s]).kind == kind; });
  if (!spans.empty()) return spans;
  const bool attention = kind == SegmentPart::Kind::kAttention;
  return absl::InvalidArgumentError(
      absl::StrCat(attention ? "attention: no segment of this model has a name that ends in .attn or .attention"
                             : "ffn: no segment of this model has a name that ends in .ffn, .mlp or .feed_forward",
                   "; they are ", Names(segments), ". Name those to be recomputed in a list, or write every"));
}

}  // namespace

SegmentPart PartOf(absl::string_view segment) {
  SegmentPart part;
  const std::vector<std::string> words = absl::StrSplit(segment, '.');
  for (size_t i = 0; i < words.size(); ++i) {
    if (!IsNumber(words[i])) continue;
    part.layer = absl::StrJoin(words.begin(), words.begin() + i + 1, ".");
    break;
  }
  const auto is_one_of = [&](std::initializer_list<const char*> names) {
    return std::find(names.begin(), names.end(), words.back()) != names.end();
  };
  if (is_one_of({"attn", "attention", "self_attn", "self_attention"})) part.kind = SegmentPart::Kind::kAttention;
  if (is_one_of({"ffn", "mlp", "feed_forward"})) part.kind = SegmentPart::Kind::kFeedForward;
  return part;
}

int FirstWithoutSegment(const RecomputePolicy& policy, const std::vector<std::string>& segments) {
  if (policy.kind != RecomputePolicy::Kind::kSegments) return -1;
  for (size_t i = 0; i < policy.segments.size(); ++i) {
    if (!FitsSome(policy.segments[i], segments)) return static_cast<int>(i);
  }
  return -1;
}

RecomputeSpans EvenSpans(int first, int end, int count) {
  STOWAGE_CHECK(count >= 1 && count <= end - first) << count << " spans of " << first << " to " << end;
  const int size = (end - first) / count, larger = (end - first) % count;
  RecomputeSpans spans;
  for (int n = 0; n < count; ++n) {
    const int next = first + size + (n < larger ? 1 : 0);
    spans.push_back({first, next, {}});
    first = next;
  }
  return spans;
}

absl::StatusOr<RecomputeSpans> SpansOf(const RecomputePolicy& policy, const std::vector<std::string>& segments) {
  const int count = static_cast<int>(segments.size());
  STOWAGE_CHECK(count > 0 && policy.every > 0) << count << " segments, every " << policy.every;
  switch (policy.kind) {
    case RecomputePolicy::Kind::kNone:
      return RecomputeSpans();
    case RecomputePolicy::Kind::kEvery: {
      RecomputeSpans spans;
      for (int s = 0; s < count; s += policy.every) spans.push_back({s, std::min(s + policy.every, count), {}});
      return spans;
    }
    case RecomputePolicy::Kind::kLayer: {
      RecomputeSpans spans = Layers(segments);
      if (!spans.empty()) return spans;
      return absl::InvalidArgumentError(
          absl::StrCat("layer: no segment of this model has a number in its name, as layer.0.attn has; they are ",
                       Names(segments), ". Name those to be recomputed in a list, or write every"));
    }
    case RecomputePolicy::Kind::kSqrt:
      return EvenSpans(0, count, RoundedRoot(count));
    case RecomputePolicy::Kind::kSqrt2: {
      RecomputeSpans spans = EvenSpans(0, count, RoundedRoot(count));
      for (RecomputeSpan& span : spans) {
        span.inner = EvenSpans(span.first, span.end, RoundedRoot(span.end - span.first));
      }
      return spans;
    }
    case RecomputePolicy::Kind::kAttention:
      return OfKind(SegmentPart::Kind::kAttention, segments);
    case RecomputePolicy::Kind::kFeedForward:
      return OfKind(SegmentPart::Kind::kFeedForward, segments);
    case RecomputePolicy::Kind::kSegments:
      return Named(policy.segments, segments);
  }
  return absl::InternalError("a policy that there is not");
}

std::vector<int> ForwardsOf(const RecomputeSpans& spans, int segments) {
  std::vector<int> forwards(segments, 1);
  // A span is recomputed unless it reaches to the end of what it lies in, whose backward comes at once.
  const std::function<void(const RecomputeSpans&, int)> add = [&](const RecomputeSpans& within, int end) {
    for (const RecomputeSpan& span : within) {
      if (span.end != end) {
        for (int s = span.first; s < span.end; ++s) ++forwards[s];
      }
      add(span.inner, span.end);
    }
  };
  add(spans, segments);
  return forwards;
}

}  // namespace stowage
