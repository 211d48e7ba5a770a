#include "trainer/plan/memory_columns.h"

#include <algorithm>
#include <cstddef>
#include <map>

#include "trainer/plan/categories.h"

namespace stowage {
namespace {

// `bytes` of the instruction's own peak by category, then what they leave of its total.
std::vector<int64_t> SeriesBytes(const InstructionPrediction& instruction, const std::vector<std::string>& categories,
                                 int64_t outside_bytes) {
  std::vector<int64_t> bytes = {outside_bytes};
  int64_t rest = instruction.total_peak_bytes;
  for (const std::string& category : categories) {
    const auto found = instruction.peak_bytes.find(category);
    bytes.push_back(found == instruction.peak_bytes.end() ? 0 : std::max<int64_t>(0, found->second));
    rest -= bytes.back();
  }
  bytes.push_back(std::max<int64_t>(0, rest));
  return bytes;
}

void LeaveOutEmptySeries(MemoryColumns* columns) {
  for (size_t i = columns->series.size(); i-- > 0;) {
    const bool empty = std::all_of(columns->columns.begin(), columns->columns.end(),
                                   [i](const MemoryColumns::Column& column) { return column.bytes[i] == 0; });
    if (!empty) continue;
    columns->series.erase(columns->series.begin() + i);
    for (MemoryColumns::Column& column : columns->columns) column.bytes.erase(column.bytes.begin() + i);
  }
}

}  // namespace

std::vector<std::string> DrawnPhases(const Prediction& prediction) {
  std::vector<std::string> phases;
  for (const InstructionPrediction& instruction : prediction.instructions) {
    if (std::find(phases.begin(), phases.end(), instruction.phase) == phases.end()) {
      phases.push_back(instruction.phase);
    }
  }
  std::stable_partition(phases.begin(), phases.end(), [](const std::string& phase) { return phase == "step"; });
  return phases;
}

MemoryColumns ColumnsOf(const Prediction& prediction, const std::string& phase, int most_columns) {
  MemoryColumns result;
  for (const InstructionPrediction& instruction : prediction.instructions) {
    if (instruction.phase == phase) result.played.push_back(&instruction);
  }
  const std::vector<std::string> categories = CategoriesOf(prediction);
  const int64_t outside_bytes = prediction.rss_peak_bytes.has_value()
                                    ? std::max<int64_t>(0, *prediction.rss_peak_bytes - prediction.tensors_peak_bytes)
                                    : 0;
  result.instructions = static_cast<int>(result.played.size());
  result.series = {kOutsideSeries};
  result.series.insert(result.series.end(), categories.begin(), categories.end());
  result.series.push_back(kOtherSeries);

  const int each = std::max(1, (result.instructions + most_columns - 1) / most_columns);
  for (int first = 0; first < result.instructions; first += each) {
    MemoryColumns::Column column;
    column.first = first;
    column.count = std::min(each, result.instructions - first);
    column.highest = first;
    for (int i = first; i < first + column.count; ++i) {
      if (result.played[i]->total_peak_bytes > result.played[column.highest]->total_peak_bytes) column.highest = i;
      column.end_bytes = std::max(column.end_bytes, outside_bytes + result.played[i]->total_live_bytes);
    }
    column.bytes = SeriesBytes(*result.played[column.highest], categories, outside_bytes);
    for (const int64_t bytes : column.bytes) column.total_bytes += bytes;
    const int index = static_cast<int>(result.columns.size());
    if (result.peak < 0 || column.total_bytes > result.columns[result.peak].total_bytes) result.peak = index;
    result.columns.push_back(column);
  }
  LeaveOutEmptySeries(&result);
  return result;
}

}  // namespace stowage
