// The categories of a prediction, in one order for tables, drawings and pages.
#ifndef STOWAGE_TRAINER_PLAN_CATEGORIES_H_
#define STOWAGE_TRAINER_PLAN_CATEGORIES_H_

#include <string>
#include <vector>

#include "trainer/plan/prediction.h"

namespace stowage {

// Every category that a phase or an instruction names: those of memory/category.h in their order there, then others by
// name. Thread-safe: no state.
std::vector<std::string> CategoriesOf(const Prediction& prediction);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_PLAN_CATEGORIES_H_
