// Which segments of a model compute in bf16, and which parameters they therefore want in bf16.
//
// The master weights, their gradients and the optimizer's state are fp32 whatever is said here. A segment that
// computes in bf16 gets its inputs and its parameters in bf16 (see SegmentSpec::compute), the latter from a copy that
// is made once per update; parameters with ParameterSpec::keep_fp32, and all if Segment::ReadsMasters, it gets in fp32.
// Source: Micikevicius et al., "Mixed precision training", arXiv:1710.03740, section 3.1; bf16's range needs no loss
// scale (Kalamkar et al., arXiv:1905.12322).
#ifndef STOWAGE_TRAINER_MODEL_PRECISION_H_
#define STOWAGE_TRAINER_MODEL_PRECISION_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "trainer/model/segment.h"

namespace stowage {

// Sets SegmentSpec::compute of every segment. `precision`: fp32 or bf16. `fp32_segments`: names of segments that stay
// in fp32, where * stands for any letters or none.
// InvalidArgument, nothing changed: another precision, or a name that no segment has (the nearest one is named).
absl::Status ApplyPrecision(const std::string& precision, absl::Span<const std::string> fp32_segments, Model* model);

// By group and parameter: whether some segment gets it in bf16; and whether some segment gets it in fp32.
std::vector<std::vector<bool>> Bf16Parameters(const Model& model);
std::vector<std::vector<bool>> Fp32Parameters(const Model& model);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODEL_PRECISION_H_
