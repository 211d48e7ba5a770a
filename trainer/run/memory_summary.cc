#include "trainer/run/memory_summary.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "trainer/run/process.h"

namespace stowage {
namespace {

MemoryTable TableOf(const PeakSample& sample, const Peaks& peaks) {
  MemoryTable table;
  table.moment = sample.moment;
  for (int c = 0; c < kCategories; ++c) {
    const Category category = static_cast<Category>(c);
    table.tensors.push_back({std::string(CategoryName(category)), sample.live[c], peaks.host()[category]});
  }
  table.most_tensor_bytes = peaks.host().total;
  for (int l = 0; l < kOutsideLines; ++l) {
    const OutsideLine line = static_cast<OutsideLine>(l);
    table.outside.push_back(
        {std::string(OutsideLineName(line)), std::string(OutsideLineText(line)), sample.outside[line]});
  }
  table.outside.push_back({"tensors_unwritten", "tensors not written yet", sample.outside.unwritten_bytes});
  table.unexplained_bytes = sample.unexplained_bytes();
  table.rss_peak_bytes = sample.rss_peak_bytes;
  return table;
}

}  // namespace

absl::StatusOr<MemoryTable> SummarizeMemory(const Peaks& peaks, Communicator& communicator) {
  MemoryTable table;
  const absl::StatusOr<PeakSample> sample = ProcessPeakSampler().Finish();
  if (sample.ok()) {
    table = TableOf(*sample, peaks);
  } else {
    table.unmeasured = std::string(sample.status().message());
  }
  if (communicator.world_size() == 1) return table;
  STOWAGE_ASSIGN_OR_RETURN(const std::vector<std::string> texts,
                           communicator.ExchangeText(absl::StrCat(table.rss_peak_bytes)));
  for (const std::string& text : texts) {
    int64_t bytes = 0;
    if (absl::SimpleAtoi(text, &bytes))
      table.most_rss_peak_bytes = std::max(table.most_rss_peak_bytes.value_or(0), bytes);
  }
  return table;
}

}  // namespace stowage
