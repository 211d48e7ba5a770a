#include "base/byte_size.h"

#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace stowage {
namespace {

struct Unit {
  const char* name;
  int64_t bytes;
};

constexpr Unit kBinaryUnits[] = {
    {"PiB", int64_t{1} << 50}, {"TiB", int64_t{1} << 40}, {"GiB", int64_t{1} << 30},
    {"MiB", int64_t{1} << 20}, {"KiB", int64_t{1} << 10},
};
constexpr Unit kDecimalUnits[] = {
    {"PB", 1000000000000000}, {"TB", 1000000000000}, {"GB", 1000000000}, {"MB", 1000000}, {"KB", 1000},
};

int64_t UnitBytes(absl::string_view name) {
  if (name.empty() || absl::EqualsIgnoreCase(name, "B")) return 1;
  for (const Unit& unit : kBinaryUnits) {
    if (absl::EqualsIgnoreCase(name, unit.name)) return unit.bytes;
  }
  for (const Unit& unit : kDecimalUnits) {
    if (absl::EqualsIgnoreCase(name, unit.name)) return unit.bytes;
  }
  return 0;
}

absl::Status NotASize(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is not a number of bytes: ", why, "; write for example 6GiB, 512MiB or 1.5GB"));
}

}  // namespace

absl::StatusOr<int64_t> ParseByteSize(absl::string_view text) {
  const absl::string_view trimmed = absl::StripAsciiWhitespace(text);
  size_t digits_end = 0;
  while (digits_end < trimmed.size() && (absl::ascii_isdigit(trimmed[digits_end]) || trimmed[digits_end] == '.')) {
    ++digits_end;
  }
  const absl::string_view number = trimmed.substr(0, digits_end);
  absl::string_view unit_name = trimmed.substr(digits_end);
  if (absl::StartsWith(unit_name, " ")) unit_name.remove_prefix(1);
  if (number.empty()) return NotASize(text, "it does not start with a number");
  const int64_t unit = UnitBytes(unit_name);
  if (unit == 0) return NotASize(text, absl::StrCat("there is no unit \"", unit_name, "\""));

  if (!absl::StrContains(number, '.')) {
    int64_t count = 0;
    int64_t bytes = 0;
    if (!absl::SimpleAtoi(number, &count) || __builtin_mul_overflow(count, unit, &bytes)) {
      return NotASize(text, "it is too large");
    }
    return bytes;
  }
  if (unit == 1) return NotASize(text, "a byte has no fractions");
  double count = 0;
  if (!absl::SimpleAtod(number, &count)) return NotASize(text, "it does not start with a number");
  const long double bytes = static_cast<long double>(count) * unit;
  if (bytes >= 9223372036854775808.0L) return NotASize(text, "it is too large");
  return static_cast<int64_t>(bytes);
}

std::string ExactByteSize(int64_t bytes) {
  for (const Unit& unit : kBinaryUnits) {
    if (bytes != 0 && bytes % unit.bytes == 0) return absl::StrCat(bytes / unit.bytes, unit.name);
  }
  return absl::StrCat(bytes);
}

std::string HumanByteSize(int64_t bytes) {
  const double magnitude = std::fabs(static_cast<double>(bytes));
  for (const Unit& unit : kBinaryUnits) {
    // From 99.95 % of a unit on, one decimal would round the smaller unit up to 1024.0.
    if (magnitude < unit.bytes * 0.99995) continue;
    const double count = static_cast<double>(bytes) / unit.bytes;
    const std::string text = absl::StrFormat("%.1f", count);
    return absl::StrCat(absl::EndsWith(text, ".0") ? text.substr(0, text.size() - 2) : text, " ", unit.name);
  }
  return absl::StrCat(bytes, " B");
}

}  // namespace stowage
