// Made-up predictions for tests and for the example in docs/plan.md.
#ifndef STOWAGE_TRAINER_PLAN_EXAMPLE_PREDICTION_H_
#define STOWAGE_TRAINER_PLAN_EXAMPLE_PREDICTION_H_

#include "trainer/plan/prediction.h"

namespace stowage {

// The example of docs/plan.md: a model of two layers that is 32 MiB too large for its budget. Tensors and outside bytes
// add up to the peak resident.
Prediction ExamplePrediction();

// A step of `instructions` instructions and an evaluation of three, with names that need care in XML, HTML, JSON and
// JavaScript: <, &, both kinds of quotes, a closing script tag, letters beyond ASCII. Instruction 17 of the step (of 30
// or more) is its highest.
Prediction AwkwardPrediction(int instructions);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_PLAN_EXAMPLE_PREDICTION_H_
