#include "trainer/run/save_reserve.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/byte_size.h"

namespace stowage {
namespace {

// Folders, file names, the lines of an error, streams, and what malloc leaves between blocks.
constexpr int64_t kBasicBytes = int64_t{1} << 20;
// A tensor has entries in the header of its file, in the part of its rank, and in the whole manifest; each as a JSON
// tree of some 20 nodes of 100 bytes, and as text, twice while it is written and read.
constexpr int64_t kBytesPerTensor = 10 * 1024;
constexpr int64_t kCopiesOfNames = 16;
constexpr int64_t kBytesPerRank = 16 * 1024;
// config.yaml, plan.json, the tokenizer: the text itself, a copy on the way, one on its way to the disk.
constexpr int64_t kCopiesOfTexts = 4;

}  // namespace

int64_t SaveBytes(const CheckpointInfo& info, int64_t tensors, int64_t name_bytes, int world_size) {
  int64_t texts = static_cast<int64_t>(info.config_yaml.size() + info.plan_json.size() + info.tokenizer_model.size());
  for (const auto* map : {&info.must_match, &info.noted, &info.state}) {
    for (const auto& [name, value] : *map) texts += 8 * static_cast<int64_t>(name.size() + value.size()) + 1024;
  }
  return kBasicBytes + kBytesPerTensor * tensors + kCopiesOfNames * name_bytes + kBytesPerRank * world_size +
         kCopiesOfTexts * texts;
}

absl::StatusOr<SaveReserve> SaveReserve::Take(int64_t bytes) {
  void* const begin = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                           /*fd=*/-1, 0);
  if (begin == MAP_FAILED) {
    return absl::ResourceExhaustedError(absl::StrCat("no room for the ", HumanByteSize(bytes),
                                                     " that a save takes: ", std::strerror(errno),
                                                     "; raise ulimit -v, ulimit -d or memory.host"));
  }
  return SaveReserve(begin, bytes);
}

SaveReserve::SaveReserve(SaveReserve&& other) noexcept
    : begin_(std::exchange(other.begin_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

void SaveReserve::Release() {
  if (begin_ != nullptr) munmap(std::exchange(begin_, nullptr), static_cast<size_t>(bytes_));
}

}  // namespace stowage
