// What a run's report says of its high-water marks.
#ifndef STOWAGE_TRAINER_RUN_MARKS_REPORT_H_
#define STOWAGE_TRAINER_RUN_MARKS_REPORT_H_

#include "trainer/metrics/report.h"
#include "trainer/plan/prediction.h"
#include "trainer/run/memory_marks.h"

namespace stowage {

// Fills phase_peak_bytes and highest_instructions: the host's bytes, up to now.
void ReportMarks(MemoryMarks& marks, Report* report);

// What the rehearsal before the run said of the same phases, in the same form: its steps together are "train".
void ReportPrediction(const Prediction& prediction, Report* report);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_MARKS_REPORT_H_
