// Which word was meant.
#ifndef STOWAGE_TRAINER_CONFIG_NEAREST_H_
#define STOWAGE_TRAINER_CONFIG_NEAREST_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace stowage {

// Letters to insert, delete, change or swap with their neighbour to turn `a` into `b` (optimal string alignment).
int EditDistance(absl::string_view a, absl::string_view b);

// The candidate with the smallest distance, or "" if none is near: at most a third of the word's letters, one at
// least. Of equals the first.
std::string Nearest(absl::string_view word, const std::vector<std::string>& candidates);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CONFIG_NEAREST_H_
