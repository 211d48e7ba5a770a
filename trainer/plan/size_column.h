// Sizes of one table in one unit, so that they can be compared at a glance.
#ifndef STOWAGE_TRAINER_PLAN_SIZE_COLUMN_H_
#define STOWAGE_TRAINER_PLAN_SIZE_COLUMN_H_

#include <cstdint>
#include <optional>
#include <string>

namespace stowage {

// Copyable, immutable.
class SizeColumn {
 public:
  // MiB, or GiB if `largest_bytes` is 100 GiB or more: six digits before the point are more than anybody reads.
  explicit SizeColumn(int64_t largest_bytes);

  const char* unit() const { return gib_ ? "GiB" : "MiB"; }

  // One decimal, no unit: "7.2". "0" is exactly nothing, "<0.1" (or ">-0.1") what would round to 0.0, "-" nullopt.
  std::string Text(std::optional<int64_t> bytes) const;

 private:
  bool gib_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_PLAN_SIZE_COLUMN_H_
