#include "trainer/interop/hf_import.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "trainer/checkpoint/tensor_shape.h"
#include "trainer/interop/hf_layout.h"
#include "trainer/interop/hf_weights.h"

namespace stowage {
namespace {

// Rows of a transposed tensor are read by some MiB and dealt to columns.
constexpr int64_t kChunkNumel = int64_t{1} << 20;
constexpr size_t kMostListed = 5;

// What `name` is called in the folder: models saved without their head lack the first part ("transformer.", "model.").
std::optional<std::string> NameThere(const HfWeights& weights, const std::string& name) {
  if (weights.tensors().count(name) > 0) return name;
  const std::string bare = name.substr(name.find('.') + 1);
  if (!absl::StartsWith(name, "lm_head.") && weights.tensors().count(bare) > 0) return bare;
  return std::nullopt;
}

// Constants that older versions saved with the weights, and a head that is the embedding.
bool MayBeIgnored(const std::string& name, bool tied) {
  return absl::EndsWith(name, ".attn.bias") || absl::EndsWith(name, ".attn.masked_bias") ||
         absl::EndsWith(name, ".rotary_emb.inv_freq") || (tied && name == "lm_head.weight");
}

bool FitsShape(const HfTensor& tensor, const std::vector<int64_t>& there) {
  if (there == tensor.shape) return true;
  // Positions beyond the context are not needed.
  return tensor.ours == "embedding.position.weight" && there.size() == 2 && there[0] >= tensor.shape[0] &&
         there[1] == tensor.shape[1];
}

absl::Status CheckTensors(const HfWeights& weights, const std::vector<HfTensor>& layout, bool tied) {
  std::vector<std::string> wrong;
  std::set<std::string> used;
  for (const HfTensor& tensor : layout) {
    const std::optional<std::string> name = NameThere(weights, tensor.name);
    if (!name) {
      wrong.push_back(absl::StrCat("no tensor ", tensor.name, " ", ShapeText(tensor.shape)));
      continue;
    }
    used.insert(*name);
    const auto& [dtype, shape, file] = weights.tensors().at(*name);
    if (tensor.ours.empty()) {
      // Its model has this bias, ours has none: what would start is not that model.
      wrong.push_back(absl::StrCat(*name, " has no place in a model without biases"));
    } else if (!HfWeights::CanRead(dtype)) {
      wrong.push_back(absl::StrCat(*name, " is ", DTypeName(dtype), "; F32, BF16 and F16 are read"));
    } else if (!FitsShape(tensor, shape)) {
      wrong.push_back(
          absl::StrCat(*name, " is ", ShapeText(shape), " there, but config.json makes it ", ShapeText(tensor.shape)));
    }
  }
  for (const auto& [name, tensor] : weights.tensors()) {
    if (used.count(name) == 0 && !MayBeIgnored(name, tied)) {
      wrong.push_back(absl::StrCat(name, " ", ShapeText(tensor.shape), " has no place in this model"));
    }
  }
  if (wrong.empty()) return absl::OkStatus();
  const size_t more = wrong.size() > kMostListed ? wrong.size() - kMostListed : 0;
  wrong.resize(wrong.size() - more);
  return absl::FailedPreconditionError(absl::StrCat(weights.folder(), ": ", absl::StrJoin(wrong, "; "),
                                                    more > 0 ? absl::StrCat("; and ", more, " more") : ""));
}

// There [columns, rows], ours [rows, columns].
absl::Status ReadTransposed(const HfWeights& weights, const std::string& name, const HfTensor& tensor, float* to) {
  const int64_t lines = std::clamp<int64_t>(kChunkNumel / tensor.rows, 1, tensor.columns);
  std::vector<float> chunk(lines * tensor.rows);
  for (int64_t first = 0; first < tensor.columns; first += lines) {
    const int64_t count = std::min(lines, tensor.columns - first);
    STOWAGE_RETURN_IF_ERROR(weights.ReadFloats(name, first * tensor.rows, count * tensor.rows, chunk.data()));
    for (int64_t row = 0; row < tensor.rows; ++row) {
      for (int64_t i = 0; i < count; ++i) to[row * tensor.columns + first + i] = chunk[i * tensor.rows + row];
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ImportHfWeights(const std::string& folder, const ModelConfig& config,
                             const std::map<std::string, ImportTarget>& targets) {
  STOWAGE_ASSIGN_OR_RETURN(const HfWeights weights, HfWeights::Open(folder));
  STOWAGE_ASSIGN_OR_RETURN(const std::vector<HfTensor> layout, HfLayout(config));
  STOWAGE_RETURN_IF_ERROR(CheckTensors(weights, layout, *config.tie));
  std::set<std::string> filled;
  for (const HfTensor& tensor : layout) {
    const std::string name = *NameThere(weights, tensor.name);
    const auto target = targets.find(tensor.ours);
    STOWAGE_CHECK(target != targets.end() && target->second.shape == tensor.our_shape)
        << tensor.ours << " " << ShapeText(tensor.our_shape) << " is not a parameter of this model";
    filled.insert(tensor.ours);
    if (target->second.to == nullptr) continue;
    float* const to = target->second.to + tensor.first_row * tensor.columns;
    STOWAGE_RETURN_IF_ERROR(tensor.transposed ? ReadTransposed(weights, name, tensor, to)
                                              : weights.ReadFloats(name, 0, tensor.rows * tensor.columns, to));
  }
  STOWAGE_CHECK(filled.size() == targets.size()) << "the layout leaves out parameters of the model";
  return absl::OkStatus();
}

}  // namespace stowage
