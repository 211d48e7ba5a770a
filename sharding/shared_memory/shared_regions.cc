#include "sharding/shared_memory/shared_regions.h"

#include <utility>

namespace stowage {

class SharedRegions::Buffer : public SharedBuffer {
 public:
  Buffer(SharedRegions& regions, int64_t region, int rank, int64_t bytes, std::vector<Window> windows)
      : regions_(regions), region_(region), rank_(rank), bytes_(bytes), windows_(std::move(windows)) {}
  ~Buffer() override { regions_.Remove(region_); }

  char* data() const override { return of(rank_); }
  char* of(int rank) const override { return windows_[common() ? 0 : rank].data(); }
  int64_t bytes() const override { return bytes_; }
  bool common() const { return windows_.size() == 1; }

 private:
  SharedRegions& regions_;
  const int64_t region_;
  const int rank_;
  const int64_t bytes_;
  const std::vector<Window> windows_;
};

std::unique_ptr<SharedBuffer> SharedRegions::Add(int rank, int64_t bytes, std::vector<Window> windows) {
  std::lock_guard<std::mutex> lock(mu_);
  const int64_t region = ++last_;
  auto buffer = std::make_unique<Buffer>(*this, region, rank, bytes, std::move(windows));
  buffers_[region] = buffer.get();
  return buffer;
}

SharedPlace SharedRegions::Find(const void* data, int64_t bytes) const {
  const char* const at = static_cast<const char*>(data);
  std::lock_guard<std::mutex> lock(mu_);
  for (const auto& [region, buffer] : buffers_) {
    const int64_t offset = at - buffer->data();
    if (at >= buffer->data() && offset + bytes <= buffer->bytes()) return {region, offset};
  }
  return {0, 0};
}

char* SharedRegions::Resolve(SharedPlace place, int rank) const {
  std::lock_guard<std::mutex> lock(mu_);
  return buffers_.at(place.region)->of(rank) + place.offset;
}

bool SharedRegions::IsCommon(int64_t region) const {
  std::lock_guard<std::mutex> lock(mu_);
  const auto found = buffers_.find(region);
  return found != buffers_.end() && found->second->common();
}

void SharedRegions::Remove(int64_t region) {
  std::lock_guard<std::mutex> lock(mu_);
  buffers_.erase(region);
}

}  // namespace stowage
