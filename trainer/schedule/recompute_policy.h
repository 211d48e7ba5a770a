// From a policy to spans of segments that are recomputed.
//
//   none             nothing is
//   every            each segment from its own inputs
//   layer            each layer from its first segment's inputs
//   {every: k}       spans of k segments
//   sqrt             of n segments, round(sqrt(n)) spans, as even as can be; memory grows with sqrt(n)
//   sqrt2            sqrt, and within each span of m segments round(sqrt(m)) inner ones: two forwards more, less held
//   attention, ffn   those segments, each for itself
//   a list           the segments that have these names or fit these patterns (* is any letters), each for itself
//
// What a segment is, its name says: "layer.3.attn" belongs to layer "layer.3" (up to its first part that is a number),
// and its last part makes it attention (attn, attention, self_attn, self_attention), feed-forward (ffn, mlp,
// feed_forward) or neither. So a model of one's own has attention if it calls it that.
//
// The last segment keeps all under every policy: its backward comes at once. So does the span that it is in.
//
// Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", arXiv:1604.06174, section 4.
// Pure functions. Torch-free.
#ifndef STOWAGE_TRAINER_SCHEDULE_RECOMPUTE_POLICY_H_
#define STOWAGE_TRAINER_SCHEDULE_RECOMPUTE_POLICY_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trainer/schedule/recompute_span.h"

namespace stowage {

struct RecomputePolicy {
  enum class Kind { kNone, kEvery, kLayer, kSqrt, kSqrt2, kAttention, kFeedForward, kSegments };
  Kind kind = Kind::kNone;
  int every = 1;                      // of kEvery: segments of a span
  std::vector<std::string> segments;  // of kSegments: names and patterns
};

struct SegmentPart {
  enum class Kind { kOther, kAttention, kFeedForward };
  std::string layer;  // "layer.3"; empty: of none
  Kind kind = Kind::kOther;
};
SegmentPart PartOf(absl::string_view segment);

// `segments`: a model's names, in forward order.
// InvalidArgument: a kind of segment that there is none of; a name that no segment has (with the nearest that one has);
// nothing but the last segment.
absl::StatusOr<RecomputeSpans> SpansOf(const RecomputePolicy& policy, const std::vector<std::string>& segments);

// Of a list of names and patterns, the first that no segment fits; -1: there is none.
int FirstWithoutSegment(const RecomputePolicy& policy, const std::vector<std::string>& segments);

// [first, end) in `count` parts whose sizes differ by one at most, the larger ones first. 1 <= count <= end - first.
RecomputeSpans EvenSpans(int first, int end, int count);

// How often each segment is run forward in a step, by micro-batch: 1 and the times that it is recomputed.
std::vector<int> ForwardsOf(const RecomputeSpans& spans, int segments);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_SCHEDULE_RECOMPUTE_POLICY_H_
