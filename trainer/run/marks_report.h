// What a run's report says of its high-water marks.
#ifndef STOWAGE_TRAINER_RUN_MARKS_REPORT_H_
#define STOWAGE_TRAINER_RUN_MARKS_REPORT_H_

#include "trainer/metrics/report.h"
#include "trainer/run/memory_marks.h"

namespace stowage {

// Fills phase_peak_bytes and highest_instructions: the host's bytes, up to now.
void ReportMarks(MemoryMarks& marks, Report* report);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_MARKS_REPORT_H_
