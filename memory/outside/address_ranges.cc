#include "memory/outside/address_ranges.h"

#include <map>
#include <mutex>

#include "base/check.h"

namespace stowage {
namespace {

constexpr uint64_t kPageBytes = 4096;

// Process-wide, as the address space is; never destroyed, since ranges may live as long as the process.
struct Registry {
  std::mutex mu;
  std::map<uint64_t, AddressSpan> spans;  // by begin
};

Registry& TheRegistry() {
  static Registry* const registry = new Registry;
  return *registry;
}

}  // namespace

RegisteredRange::RegisteredRange(RangeKind kind, const void* begin, size_t bytes)
    : begin_(reinterpret_cast<uint64_t>(begin)) {
  const uint64_t end = (begin_ + bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  STOWAGE_CHECK(begin_ % kPageBytes == 0 && end > begin_) << begin << " + " << bytes;
  Registry& registry = TheRegistry();
  const std::lock_guard<std::mutex> lock(registry.mu);
  const auto after = registry.spans.lower_bound(begin_);
  STOWAGE_CHECK(after == registry.spans.end() || after->first >= end) << begin << " + " << bytes << " is known already";
  STOWAGE_CHECK(after == registry.spans.begin() || std::prev(after)->second.end <= begin_)
      << begin << " + " << bytes << " is known already";
  registry.spans[begin_] = {begin_, end, kind};
}

RegisteredRange::~RegisteredRange() {
  Registry& registry = TheRegistry();
  const std::lock_guard<std::mutex> lock(registry.mu);
  registry.spans.erase(begin_);
}

std::vector<AddressSpan> RegisteredSpans() {
  Registry& registry = TheRegistry();
  const std::lock_guard<std::mutex> lock(registry.mu);
  std::vector<AddressSpan> spans;
  for (const auto& [begin, span] : registry.spans) spans.push_back(span);
  return spans;
}

}  // namespace stowage
