// How a model declares its parameters, and how its segments meet them again in the same order.
#ifndef STOWAGE_TRAINER_MODEL_GROUP_BUILDER_H_
#define STOWAGE_TRAINER_MODEL_GROUP_BUILDER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/check.h"
#include "trainer/model/parameter.h"
#include "trainer/model/segment.h"

namespace stowage {

// Collects one group's parameters, and the ids by which a segment finds them. The group joins the model in Build.
class GroupBuilder {
 public:
  // Borrows the model until Build; one builder at a time.
  GroupBuilder(std::string name, Model* model) : model_(model), group_(static_cast<int>(model->groups.size())) {
    spec_.name = std::move(name);
  }

  void Add(std::string name, std::vector<int64_t> shape, Init init, std::vector<ParameterId>* ids,
           bool keep_fp32 = false) {
    ids->push_back({group_, static_cast<int>(spec_.parameters.size())});
    spec_.parameters.push_back({std::move(name), std::move(shape), init, keep_fp32});
  }
  // "<name>.weight" [out, in], and with `bias` "<name>.bias" [out].
  void Linear(const std::string& name, int64_t out, int64_t in, Init init, bool bias, std::vector<ParameterId>* ids,
              Init bias_init = Init::Zeros()) {
    Add(absl::StrCat(name, ".weight"), {out, in}, init, ids);
    if (bias) Add(absl::StrCat(name, ".bias"), {out}, bias_init, ids);
  }
  // "<name>.weight" and "<name>.bias" [width], which stay in fp32.
  void Norm(const std::string& name, int64_t width, bool bias, std::vector<ParameterId>* ids) {
    Add(absl::StrCat(name, ".weight"), {width}, Init::Ones(), ids, /*keep_fp32=*/true);
    if (bias) Add(absl::StrCat(name, ".bias"), {width}, Init::Zeros(), ids, /*keep_fp32=*/true);
  }
  void Build() { model_->groups.push_back(std::move(spec_)); }

 private:
  Model* model_;
  int group_;
  GroupSpec spec_;
};

// Hands out a segment's parameters in the order in which they were declared. Check AtEnd: a declaration and its reading
// that do not fit are a bug that would else show as a wrong shape, or not at all.
class ParameterReader {
 public:
  explicit ParameterReader(absl::Span<const Parameter> parameters) : parameters_(parameters) {}
  const Parameter& Weight() {
    STOWAGE_CHECK(next_ < parameters_.size()) << next_;
    return parameters_[next_++];
  }
  // Null without a bias.
  const Parameter* Bias(bool has_bias) { return has_bias ? &Weight() : nullptr; }
  bool AtEnd() const { return next_ == parameters_.size(); }

 private:
  absl::Span<const Parameter> parameters_;
  size_t next_ = 0;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODEL_GROUP_BUILDER_H_
