// A residual convolutional network for images (He et al., arXiv:1512.03385, section 4.2: the form for small images),
// with GroupNorm (Wu and He, arXiv:1803.08494) in the place of BatchNorm: no statistics of the batch, so that results
// do not depend on how a batch is cut.
//
//   stem     3x3 convolution to `width` channels, norm, ReLU
//   block    3x3 convolution, norm, ReLU, 3x3 convolution, norm, plus the input, ReLU
//   head     mean over the image, linear layer to classes or numbers
//
// `layers` blocks are spread over three stages (fewer with fewer blocks; earlier stages take what does not divide). The
// first block of a later stage halves the image and doubles the channels; there the input passes through a 1x1
// convolution and a norm. A norm has the largest of 8, 4, 2, 1 groups that divides its channels.
//
//   groups    stem {conv.weight [width, c, 3, 3], norm.weight, norm.bias [width]},
//             layer.N {conv1.weight, norm1.*, conv2.weight, norm2.*, and where the shape changes down.weight,
//             down_norm.*}, head {weight, bias}
//   segments  stem, layer.0 ... layer.N-1, head
#ifndef STOWAGE_TRAINER_MODEL_CNN_H_
#define STOWAGE_TRAINER_MODEL_CNN_H_

#include "absl/status/statusor.h"
#include "trainer/config/config.h"
#include "trainer/model/segment.h"

namespace stowage {

// `config` is resolved (input [channels, height, width], outputs and loss are set). Weights: PyTorch's of convolutions
// and linear layers, uniform in 1/sqrt(inputs of an output). Dropout before the head. InvalidArgument: the input is no
// image, or smaller than the stages' strides.
absl::StatusOr<Model> MakeCnn(const ModelConfig& config);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODEL_CNN_H_
