#include "trainer/metrics/memory_table.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace stowage {
namespace {

double MiB(int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

bool Shows(int64_t bytes) { return std::fabs(MiB(bytes)) >= 0.05; }

std::string Row(const std::string& text, int64_t bytes, const std::string& beside = "") {
  return absl::StrFormat("  %-28s %9.1f%s", text, MiB(bytes), beside);
}

std::string Beside(int64_t bytes) { return absl::StrFormat(" %9.1f", MiB(bytes)); }

}  // namespace

std::vector<std::string> MemoryTableLines(const MemoryTable& table) {
  if (!table.unmeasured.empty()) return {absl::StrCat("Memory: no table: ", table.unmeasured)};
  std::vector<std::string> lines = {absl::StrCat("Memory at its peak (", table.moment,
                                                 "), MiB; beside it each category's own peak, at its own moment")};
  int64_t tensor_bytes = 0;
  for (const MemoryTable::Tensors& tensors : table.tensors) {
    tensor_bytes += tensors.then_bytes;
    if (!Shows(tensors.then_bytes) && !Shows(tensors.most_bytes)) continue;
    lines.push_back(Row(tensors.category, tensors.then_bytes, Beside(tensors.most_bytes)));
  }
  lines.push_back(Row("tensors in all", tensor_bytes, Beside(table.most_tensor_bytes)));
  for (const MemoryTable::Line& line : table.outside) {
    if (Shows(line.bytes)) lines.push_back(Row(line.text, line.bytes));
  }
  const double share = table.rss_peak_bytes > 0 ? 100.0 * table.unexplained_bytes / table.rss_peak_bytes : 0.0;
  lines.push_back(Row("unexplained", table.unexplained_bytes, absl::StrFormat("   (%.1f %%)", share)));
  lines.push_back(Row("peak resident", table.rss_peak_bytes,
                      table.most_rss_peak_bytes ? absl::StrFormat("   (rank 0; the rank with the most: %.1f)",
                                                                  MiB(*table.most_rss_peak_bytes))
                                                : ""));
  return lines;
}

}  // namespace stowage
