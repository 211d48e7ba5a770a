// A drawing of memory over a phase: instructions from left to right, bytes upwards, stacked by category.
#ifndef STOWAGE_TRAINER_PLAN_MEMORY_DRAWING_H_
#define STOWAGE_TRAINER_PLAN_MEMORY_DRAWING_H_

#include <string>

#include "trainer/plan/prediction.h"

namespace stowage {

// An SVG document of 1200 by 500, the same text for the same prediction. Over each instruction: what was held when all
// together were at their most within it, and as a line what was held at its end. Where the machine's outside bytes are
// known they are the lowest layer, so that heights are those of the process and can be compared with the budgets'
// lines. A budget that is more than 2.5 times as high as all else is named and not drawn to scale. More than 600
// instructions: columns of several, the highest of each. No instructions: a drawing that says so.
//
// The root element tells programs where the plot is: data-phase, data-count (instructions), data-left, data-right,
// data-top, data-bottom (in the viewBox's units). Thread-safe: no state.
std::string MemoryDrawing(const Prediction& prediction, const std::string& phase = "step");

}  // namespace stowage

#endif  // STOWAGE_TRAINER_PLAN_MEMORY_DRAWING_H_
