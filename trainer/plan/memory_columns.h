// What a drawing of memory shows: the bytes of one phase's instructions as a few hundred columns of stacked series.
#ifndef STOWAGE_TRAINER_PLAN_MEMORY_COLUMNS_H_
#define STOWAGE_TRAINER_PLAN_MEMORY_COLUMNS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/plan/prediction.h"

namespace stowage {

// The phases that have instructions: "step" first, since it is what a run spends its time in, then the others in the
// order in which they come.
std::vector<std::string> DrawnPhases(const Prediction& prediction);

// Plain data. Instructions are numbered from 0 within the phase.
struct MemoryColumns {
  struct Column {
    int first = 0, count = 1;    // the instructions that it stands for
    int highest = 0;             // the one of them that holds most; its bytes are the column's
    std::vector<int64_t> bytes;  // of each series
    int64_t total_bytes = 0;     // their sum
    int64_t end_bytes = 0;       // most held at an instruction's end, outside bytes included
  };

  int instructions = 0;
  // From the bottom up: "outside of tensors" where it is known, categories, "other" where categories leave a rest.
  // Series that are nothing everywhere are left out.
  std::vector<std::string> series;
  std::vector<Column> columns;
  std::vector<const InstructionPrediction*> played;  // in the prediction, which must outlive this
  int peak = -1;                                     // the column that is highest, the first of equals; -1: none
};

inline constexpr char kOutsideSeries[] = "outside of tensors";
inline constexpr char kOtherSeries[] = "other";

// At most `most_columns` (at least 1) columns, each of equally many instructions but the last: the highest of each
// counts, so that no peak is lost. "outside of tensors" is the predicted peak resident less the tensors' peak, the same
// in every column: its own course is not predicted.
MemoryColumns ColumnsOf(const Prediction& prediction, const std::string& phase, int most_columns);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_PLAN_MEMORY_COLUMNS_H_
