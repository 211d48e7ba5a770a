#include "memory/budget/batch_allotment.h"

#include <cstdint>
#include <limits>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace stowage {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

enum class Base { kDecimal, kHex };

class Variables {
 public:
  Variables(const MachineSource& source, std::vector<std::string>* warnings) : source_(source), warnings_(warnings) {}

  bool Has(const char* name) const { return source_.variable(name) != nullptr; }

  // A number of `unit` bytes; nullopt: not set, zero, or no such number, which is then said.
  std::optional<int64_t> Read(const char* name, int64_t unit, Base base = Base::kDecimal) const {
    const char* text = source_.variable(name);
    if (text == nullptr) return std::nullopt;
    int64_t number = 0;
    const bool good = base == Base::kHex ? absl::SimpleHexAtoi(text, &number) : absl::SimpleAtoi(text, &number);
    if (!good || number < 0 || number > std::numeric_limits<int64_t>::max() / unit) {
      warnings_->push_back(absl::StrCat(name, " is \"", text, "\", which is no size; it is not heeded"));
      return std::nullopt;
    }
    if (number == 0) return std::nullopt;
    return number * unit;
  }

 private:
  const MachineSource& source_;
  std::vector<std::string>* const warnings_;
};

}  // namespace

std::vector<MemoryBound> BatchAllotments(const MachineSource& source, std::vector<std::string>* warnings) {
  const Variables variables(source, warnings);
  std::vector<MemoryBound> bounds;
  const auto take = [&](const std::optional<int64_t>& bytes, const std::string& from) {
    if (bytes.has_value()) bounds.push_back({*bytes, from, false, true});
  };
  if (variables.Has("SLURM_MEM_PER_NODE")) {
    take(variables.Read("SLURM_MEM_PER_NODE", kMiB), "SLURM_MEM_PER_NODE");
  } else {
    const std::optional<int64_t> per_core = variables.Read("SLURM_MEM_PER_CPU", kMiB);
    const std::optional<int64_t> cores = variables.Read("SLURM_CPUS_ON_NODE", 1);
    if (per_core && cores && *per_core <= std::numeric_limits<int64_t>::max() / *cores) {
      take(*per_core * *cores, absl::StrCat("SLURM_MEM_PER_CPU times ", *cores, " (SLURM_CPUS_ON_NODE)"));
    }
  }
  take(variables.Read("LSB_CG_MEMLIMIT", 1, Base::kHex), "LSB_CG_MEMLIMIT");
  take(variables.Read("PBS_RESC_MEM", 1), "PBS_RESC_MEM");
  return bounds;
}

}  // namespace stowage
