#include "trainer/plan/size_column.h"

#include "absl/strings/str_format.h"

namespace stowage {

SizeColumn::SizeColumn(int64_t largest_bytes) : gib_(largest_bytes >= (int64_t{100} << 30)) {}

std::string SizeColumn::Text(std::optional<int64_t> bytes) const {
  if (!bytes.has_value()) return "-";
  if (*bytes == 0) return "0";
  const double count = static_cast<double>(*bytes) / (gib_ ? 1 << 30 : 1 << 20);
  const std::string text = absl::StrFormat("%.1f", count);
  if (text == "0.0") return "<0.1";
  if (text == "-0.0") return ">-0.1";
  return text;
}

}  // namespace stowage
