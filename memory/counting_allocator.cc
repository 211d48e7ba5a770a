#include "memory/counting_allocator.h"

#include <c10/core/Allocator.h>
#include <c10/util/Exception.h>

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "memory/name_scope.h"
#include "memory/outside/address_ranges.h"
#include "memory/pool/pool.h"
#include "memory/thread_counts.h"

namespace stowage {
namespace {

using Header = BlockHeader;
constexpr size_t kAlignment = alignof(Header);

// Blocks from here on are listed, whoever asks for them: below, a step has many that together hold next to nothing.
constexpr int64_t kLeastListedBytes = 4096;

// Constant from the start and without a destructor, so that blocks may be freed as early and as late as they like.
Holders holders;
static_assert(std::is_trivially_destructible_v<Holders>, "");

// Blocks from here on are told to the watch before they are freed: a peak that fewer bytes make does not matter.
constexpr int64_t kLeastWatchedBytes = int64_t{256} << 10;
std::atomic<FreeWatch*> free_watch{nullptr};

void Delete(void* data) {
  if (data == nullptr) return;
  Header* header = static_cast<Header*>(data) - 1;
  STOWAGE_CHECK(header->magic == Header::kMagic)
      << data << " was freed before, or is not of this allocator, or something "
      << "wrote before its start";
  header->magic = 0;
  if (header->bytes >= kLeastWatchedBytes) {
    FreeWatch* const watch = free_watch.load(std::memory_order_acquire);
    if (watch != nullptr) watch->BeforeFree();
  }
  if (header->listed) holders.Remove(header);
  header->ledger->Free(header->category, header->bytes, header->place);
  header->source->Free(header, static_cast<size_t>(header->bytes) + sizeof(Header));
}

std::atomic<Pool*> installed_pool{nullptr};
std::atomic<BlockSource*> set_source{nullptr};      // null: the pool
thread_local BlockSource* thread_source = nullptr;  // null: set_source
std::atomic<ShortageHandler*> set_handler{nullptr};

// A block of `bytes`, header included, after whatever room could be made; null: none.
Header* TakeBlock(BlockSource* source, size_t bytes) {
  void* block = source->Allocate(bytes);
  if (block != nullptr) return static_cast<Header*>(block);
  ShortageHandler* const handler = set_handler.load(std::memory_order_acquire);
  while (block == nullptr && handler != nullptr && handler->MakeRoom(static_cast<int64_t>(bytes))) {
    block = source->Allocate(bytes);
  }
  return static_cast<Header*>(block);
}

std::string ShortageText(int64_t bytes, Category category, const Ledger& ledger) {
  ShortageHandler* const handler = set_handler.load(std::memory_order_acquire);
  if (handler != nullptr) return handler->Explain(bytes, category);
  return absl::StrCat("out of memory: ", bytes, " bytes (", CategoryName(category), ") were asked for, ",
                      ledger.total_live(), " are held in tensors; a smaller micro_batch needs less");
}

class CountingAllocator final : public c10::Allocator {
 public:
  CountingAllocator(Ledger* ledger, std::unique_ptr<RegisteredRange> range)
      : ledger_(ledger), range_(std::move(range)) {}

  c10::DataPtr allocate(size_t bytes) override {
    const c10::Device device(c10::DeviceType::CPU);
    if (bytes == 0) return {nullptr, nullptr, &Delete, device};
    const Category category = CategoryScope::Current();
    // Half the address space: beyond it the header would not fit, and sizes are signed in the ledger.
    constexpr size_t kMost = std::numeric_limits<int64_t>::max() - kAlignment;
    BlockSource* source = thread_source;
    if (source == nullptr) source = set_source.load(std::memory_order_acquire);
    if (source == nullptr) source = installed_pool.load(std::memory_order_relaxed);
    Header* header = bytes > kMost ? nullptr : TakeBlock(source, bytes + sizeof(Header));
    if (header == nullptr) {
      // Beyond what is signed the number would be nonsense.
      const int64_t asked = bytes > kMost ? std::numeric_limits<int64_t>::max() : static_cast<int64_t>(bytes);
      C10_THROW_ERROR(OutOfMemoryError, ShortageText(asked, category, *ledger_));
    }
    *header = Header();
    header->magic = Header::kMagic;
    header->name = NameScope::Current();
    header->instruction = InstructionScope::Current();
    header->bytes = static_cast<int64_t>(bytes);
    header->ledger = ledger_;
    header->source = source;
    header->category = category;
    ledger_->Allocate(category, header->bytes, header->place);
    if (header->bytes >= kLeastListedBytes) holders.Add(header);
    CountAllocation(header->bytes);
    // Context and data are the same pointer: LibTorch's raw allocations (matmul, GELU, oneDNN) ask for that.
    void* data = header + 1;
    return {data, data, &Delete, device};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &Delete; }

  void copy_data(void* to, const void* from, std::size_t bytes) const override { default_copy_data(to, from, bytes); }

  Ledger* ledger() const { return ledger_; }

 private:
  Ledger* const ledger_;
  const std::unique_ptr<RegisteredRange> range_;  // the pool's
};

// Above LibTorch's own registrations (0).
constexpr uint8_t kPriority = 100;

}  // namespace

absl::Status InstallCountingAllocator(Ledger* ledger) {
  STOWAGE_CHECK(ledger != nullptr);
  // Never deleted, pool and its range included: LibTorch keeps the pointer, and tensors their blocks, to the end of the
  // process.
  static std::mutex* const mu = new std::mutex;
  static CountingAllocator* installed = nullptr;
  const std::lock_guard<std::mutex> lock(*mu);
  if (installed != nullptr) {
    if (installed->ledger() == ledger) return absl::OkStatus();
    return absl::FailedPreconditionError(
        "LibTorch's CPU allocator counts into another ledger already; a process has one, pass that one on");
  }
  STOWAGE_ASSIGN_OR_RETURN(std::unique_ptr<Pool> pool, Pool::Create(PoolOptions()));
  auto range = std::make_unique<RegisteredRange>(RangeKind::kTensors, pool->range_begin(), pool->range_bytes());
  installed_pool.store(pool.release(), std::memory_order_relaxed);
  auto* const allocator = installed = new CountingAllocator(ledger, std::move(range));
  c10::SetAllocator(c10::DeviceType::CPU, allocator, kPriority);
  if (c10::GetAllocator(c10::DeviceType::CPU) != allocator) {
    return absl::FailedPreconditionError(
        absl::StrCat("another library has set LibTorch's CPU allocator with a priority above ", kPriority,
                     "; tensors would not be counted"));
  }
  return absl::OkStatus();
}

bool DescribeBlock(const c10::DataPtr& block, std::unique_ptr<BlockDescription> description) {
  if (block.get() == nullptr || block.get_deleter() != &Delete) return false;
  holders.Describe(static_cast<Header*>(block.get_context()) - 1, std::move(description));
  return true;
}

std::vector<Holder> LargestHolders(int count) { return holders.Largest(count); }

std::vector<std::string> LargestHolderLines(int count) {
  std::vector<std::string> lines;
  for (const Holder& holder : holders.Largest(count)) lines.push_back(HolderText(holder));
  return lines;
}

std::string CurrentInstruction() { return InstructionScope::Current().text(); }

Pool* InstalledPool() { return installed_pool.load(std::memory_order_relaxed); }

BlockSource* SetBlockSource(BlockSource* source) { return set_source.exchange(source, std::memory_order_acq_rel); }

BlockSource* SetThreadBlockSource(BlockSource* source) { return std::exchange(thread_source, source); }

FreeWatch* SetFreeWatch(FreeWatch* watch) { return free_watch.exchange(watch, std::memory_order_acq_rel); }

ShortageHandler* SetShortageHandler(ShortageHandler* handler) {
  return set_handler.exchange(handler, std::memory_order_acq_rel);
}

}  // namespace stowage
