// One branch of a pre-norm transformer layer: x + dropout(out(middle(in(norm(x))))).
//
// The attention and the feed-forward half of a layer have this shape in GPT-2 as in Llama; they differ in the norm, in
// biases and in what stands in the middle.
#ifndef STOWAGE_TRAINER_MODEL_RESIDUAL_BRANCH_H_
#define STOWAGE_TRAINER_MODEL_RESIDUAL_BRANCH_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "trainer/model/norm_kind.h"
#include "trainer/model/segment.h"

namespace stowage {

class ResidualBranch : public Segment {
 public:
  struct Options {
    NormKind norm;
    bool bias = false;  // of both projections
    double dropout = 0.0;
    // [n, t, in_rows] -> [n, t, out_columns]. A function of its argument only.
    std::function<at::Tensor(const at::Tensor&)> middle;
  };
  // The two projections: "<name>.<in>" [in_rows, width] and "<name>.<out>" [width, out_columns].
  struct Sizes {
    int64_t width = 0;
    std::string in;
    int64_t in_rows = 0;
    Init in_init;
    std::string out;
    int64_t out_columns = 0;
    Init out_init;
  };

  explicit ResidualBranch(Options options) : options_(std::move(options)) {}

  // Declares "<name>.norm", "<name>.<in>", "<name>.<out>" in the order in which Forward reads them.
  static std::vector<ParameterId> Declare(const std::string& name, const Options& options, const Sizes& sizes,
                                          GroupBuilder* group);

  std::vector<at::Tensor> Forward(const std::vector<at::Tensor>& inputs, absl::Span<const Parameter> parameters,
                                  const SegmentContext& context) const override;

 private:
  const Options options_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODEL_RESIDUAL_BRANCH_H_
