// What a tensor's bytes are for. Every byte is entered under exactly one category.
#ifndef STOWAGE_MEMORY_CATEGORY_H_
#define STOWAGE_MEMORY_CATEGORY_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace stowage {

enum class Category : uint8_t {
  kParameters,     // weights, shards of them, gathered copies
  kGradients,      // gradient buffers
  kOptimizer,      // moments, master weights
  kActivations,    // what lives from a segment's forward to its backward
  kCommunication,  // staging buffers of collectives
  kWorkspace,      // everything that lives within one instruction; what no scope names
  kData,           // batches and what reading them takes
};

inline constexpr int kCategories = 7;

// parameters, gradients, optimizer, activations, communication, workspace, data: as in logs, metrics and reports.
constexpr absl::string_view CategoryName(Category category) {
  switch (category) {
    case Category::kParameters:
      return "parameters";
    case Category::kGradients:
      return "gradients";
    case Category::kOptimizer:
      return "optimizer";
    case Category::kActivations:
      return "activations";
    case Category::kCommunication:
      return "communication";
    case Category::kWorkspace:
      return "workspace";
    case Category::kData:
      return "data";
  }
  return "?";
}

}  // namespace stowage

#endif  // STOWAGE_MEMORY_CATEGORY_H_
