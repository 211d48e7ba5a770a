// A prediction as one HTML page: a file to open in a browser or to send to somebody.
#ifndef STOWAGE_TRAINER_PLAN_PLAN_HTML_H_
#define STOWAGE_TRAINER_PLAN_PLAN_HTML_H_

#include <string>

#include "trainer/plan/prediction.h"

namespace stowage {

// The verdict, the tables of PlanLines, and for each phase that has instructions a drawing (memory_drawing.h) and the
// instructions as a table. One document that loads nothing, also not by a name in the prediction (its
// Content-Security-Policy forbids it), light or dark as the reader's system is, the same text for the same prediction.
//
// With JavaScript, the pointer over a drawing (or the arrow keys on it) reads out an instruction: name, bytes by
// category at its peak and at its end; tables sort by order or by peak. A link to "#at=17" shows instruction 17 of the
// first drawing, "#at=eval:17" that of a phase. Without it all else is there. Thread-safe: no state.
std::string PlanHtml(const Prediction& prediction);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_PLAN_PLAN_HTML_H_
