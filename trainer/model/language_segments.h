// Both ends of a model of tokens: the embedding, and the head with its loss.
//
// They read the batch's "tokens" and "targets" (trainer/data/batch.h).
#ifndef STOWAGE_TRAINER_MODEL_LANGUAGE_SEGMENTS_H_
#define STOWAGE_TRAINER_MODEL_LANGUAGE_SEGMENTS_H_

#include <optional>
#include <vector>

#include "trainer/model/norm_kind.h"
#include "trainer/model/segment.h"

namespace stowage {

// Parameters: token [vocabulary, width], and with `positions` position [context, width], both in fp32. No inputs;
// output [n, t, width] in the compute dtype. What a batch reads of the matrix is a few rows: a copy of it is the head's
// alone.
class EmbeddingSegment : public Segment {
 public:
  EmbeddingSegment(bool positions, double dropout) : positions_(positions), dropout_(dropout) {}
  std::vector<at::Tensor> Forward(const std::vector<at::Tensor>& inputs, absl::Span<const Parameter> parameters,
                                  const SegmentContext& context) const override;
  bool ReadsMasters() const override { return true; }
  bool BackwardReadsParameters() const override { return false; }

 private:
  const bool positions_;
  const double dropout_;
};

// Parameters: the norm's if there is one, then the matrix [vocabulary, width]. Input [n, t, width]; output the summed
// cross-entropy, or logits [n, t, vocabulary] (kPredict).
class LanguageHead : public Segment {
 public:
  explicit LanguageHead(std::optional<NormKind> norm) : norm_(norm) {}
  std::vector<at::Tensor> Forward(const std::vector<at::Tensor>& inputs, absl::Span<const Parameter> parameters,
                                  const SegmentContext& context) const override;

 private:
  const std::optional<NormKind> norm_;
};

// Adds group and segment "head": the norm, and "head.weight" [vocabulary, width] or, if `tied` names a parameter, that.
void AddLanguageHead(const std::optional<NormKind>& norm, int64_t vocabulary, int64_t width, Init init,
                     const std::optional<ParameterId>& tied, Model* model);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODEL_LANGUAGE_SEGMENTS_H_
