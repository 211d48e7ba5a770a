#include "trainer/model/cnn.h"

#include <ATen/ops/mean.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "trainer/model/group_builder.h"
#include "trainer/model/ops/conv.h"
#include "trainer/model/ops/group_norm.h"
#include "trainer/model/sample_head.h"

namespace stowage {
namespace {

constexpr int64_t kStages = 3;
constexpr double kGroupNormEps = 1e-5;

int64_t NormGroups(int64_t channels) {
  int64_t groups = 8;
  while (channels % groups != 0) groups /= 2;
  return groups;
}

// A convolution without a bias, which the norm after it would take away again.
at::Tensor Conv(const at::Tensor& x, int64_t stride, ParameterReader* next) {
  const Parameter& kernel = next->Weight();
  return ops::Conv2d(x, kernel, stride, kernel.value.size(2) / 2);
}

// norm(x), plus `residual`, through ReLU, as asked for.
at::Tensor Norm(const at::Tensor& x, bool relu, const Parameter& scale, const Parameter& shift,
                const std::optional<at::Tensor>& residual = std::nullopt) {
  return ops::GroupNorm(x, scale, shift, {NormGroups(x.size(1)), kGroupNormEps, relu}, residual);
}
at::Tensor Norm(const at::Tensor& x, bool relu, ParameterReader* next) {
  const Parameter &scale = next->Weight(), &shift = next->Weight();
  return Norm(x, relu, scale, shift);
}

void DeclareConvNorm(const std::string& conv, const std::string& norm, int64_t out, int64_t in, int64_t kernel,
                     GroupBuilder* group, std::vector<ParameterId>* ids) {
  const Init uniform = Init::Uniform(1.0 / std::sqrt(static_cast<double>(in * kernel * kernel)));
  group->Add(conv + ".weight", {out, in, kernel, kernel}, uniform, ids);
  group->Norm(norm, out, /*bias=*/true, ids);
}

class Stem : public Segment {
 public:
  std::vector<at::Tensor> Forward(const std::vector<at::Tensor>&, absl::Span<const Parameter> parameters,
                                  const SegmentContext& context) const override {
    ParameterReader next(parameters);
    // Channels last: what the convolutions and norms work in, and give back.
    const at::Tensor images = InputsOf(context, parameters[0]).contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor y = Norm(Conv(images, 1, &next), /*relu=*/true, &next);
    STOWAGE_CHECK(next.AtEnd()) << "stem";
    return {y};
  }
};

class Block : public Segment {
 public:
  // `down`: the shape changes, by `stride` and to other channels.
  Block(int64_t stride, bool down) : stride_(stride), down_(down) {}
  std::vector<at::Tensor> Forward(const std::vector<at::Tensor>& inputs, absl::Span<const Parameter> parameters,
                                  const SegmentContext&) const override {
    ParameterReader next(parameters);
    at::Tensor x = Norm(Conv(inputs[0], stride_, &next), /*relu=*/true, &next);
    x = Conv(x, 1, &next);
    // The parameters come in the order of their declaration: the second norm's before those of the way around.
    const Parameter &scale = next.Weight(), &shift = next.Weight();
    const at::Tensor around = down_ ? Norm(Conv(inputs[0], stride_, &next), /*relu=*/false, &next) : inputs[0];
    STOWAGE_CHECK(next.AtEnd()) << "block";
    return {Norm(x, /*relu=*/true, scale, shift, around)};
  }

 private:
  const int64_t stride_;
  const bool down_;
};

}  // namespace

absl::StatusOr<Model> MakeCnn(const ModelConfig& config) {
  const std::vector<int64_t> input = config.input.value_or(std::vector<int64_t>());
  if (input.size() != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("model.input: model.kind cnn needs images [channels, height, width], ",
                     "a sample of the data is [", absl::StrJoin(input, ", "), "]"));
  }
  const int64_t stages = std::min(kStages, config.layers);
  const int64_t least = int64_t{1} << (stages - 1);
  if (input[1] < least || input[2] < least) {
    return absl::InvalidArgumentError(
        absl::StrCat("model.input: an image of ", input[1], " x ", input[2], " is smaller than the ", least, " x ",
                     least, " that the strides of ", stages, " stages need; give larger images or model.layers ",
                     std::min(input[1], input[2]) >= 2 ? 2 : 1));
  }

  Model model;
  std::vector<ParameterId> stem_ids;
  GroupBuilder stem("stem", &model);
  DeclareConvNorm("stem.conv", "stem.norm", config.width, input[0], 3, &stem, &stem_ids);
  stem.Build();
  model.segments.push_back({"stem", stem_ids, std::make_unique<Stem>()});

  int64_t channels = config.width, i = 0;
  for (int64_t stage = 0; stage < stages; ++stage) {
    const int64_t blocks = config.layers / stages + (stage < config.layers % stages ? 1 : 0);
    for (int64_t block = 0; block < blocks; ++block, ++i) {
      const bool down = block == 0 && stage > 0;
      const int64_t out = down ? 2 * channels : channels;
      const std::string name = absl::StrCat("layer.", i);
      std::vector<ParameterId> ids;
      GroupBuilder group(name, &model);
      DeclareConvNorm(name + ".conv1", name + ".norm1", out, channels, 3, &group, &ids);
      DeclareConvNorm(name + ".conv2", name + ".norm2", out, out, 3, &group, &ids);
      if (down) DeclareConvNorm(name + ".down", name + ".down_norm", out, channels, 1, &group, &ids);
      group.Build();
      model.segments.push_back({name, std::move(ids), std::make_unique<Block>(down ? 2 : 1, down)});
      channels = out;
    }
  }
  SampleHead::Options head;
  head.dropout = config.dropout;
  head.gather = [](const at::Tensor& x) { return x.mean({2, 3}); };
  AddSampleHead(config, channels, std::move(head), &model);
  return model;
}

}  // namespace stowage
