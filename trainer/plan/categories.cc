#include "trainer/plan/categories.h"

#include <cstdint>
#include <map>
#include <set>

#include "memory/category.h"

namespace stowage {
namespace {

void AddNames(const std::map<std::string, int64_t>& bytes, std::set<std::string>* names) {
  for (const auto& [name, unused] : bytes) names->insert(name);
}

}  // namespace

std::vector<std::string> CategoriesOf(const Prediction& prediction) {
  std::set<std::string> names;
  for (const PhasePrediction& phase : prediction.phases) AddNames(phase.peak_bytes, &names);
  for (const InstructionPrediction& instruction : prediction.instructions) {
    AddNames(instruction.live_bytes, &names);
    AddNames(instruction.peak_bytes, &names);
  }
  std::vector<std::string> ordered;
  for (int i = 0; i < kCategories; ++i) {
    const std::string name(CategoryName(static_cast<Category>(i)));
    if (names.erase(name) > 0) ordered.push_back(name);
  }
  ordered.insert(ordered.end(), names.begin(), names.end());
  return ordered;
}

}  // namespace stowage
