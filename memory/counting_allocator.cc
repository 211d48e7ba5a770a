#include "memory/counting_allocator.h"

#include <c10/core/Allocator.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "memory/pool/pool.h"

namespace stowage {
namespace {

// As LibTorch's own blocks: a cache line, and the widest vector.
constexpr size_t kAlignment = 64;
constexpr uint64_t kMagic = 0x5374'6f77'6167'6521;  // "Stowage!" in ASCII

// What freeing needs, since LibTorch frees through a plain function that gets the pointer and nothing else.
struct alignas(kAlignment) Header {
  uint64_t magic;
  int64_t bytes;
  Ledger* ledger;
  Pool* pool;
  Category category;
};
static_assert(sizeof(Header) == kAlignment, "the block after the header must be aligned");

void Delete(void* data) {
  if (data == nullptr) return;
  Header* header = static_cast<Header*>(data) - 1;
  STOWAGE_CHECK(header->magic == kMagic) << data << " was freed before, or is not of this allocator, or something "
                                         << "wrote before its start";
  header->magic = 0;
  header->ledger->Free(header->category, header->bytes);
  header->pool->Free(header, static_cast<size_t>(header->bytes) + sizeof(Header));
}

class CountingAllocator final : public c10::Allocator {
 public:
  CountingAllocator(Ledger* ledger, Pool* pool) : ledger_(ledger), pool_(pool) {}

  c10::DataPtr allocate(size_t bytes) override {
    const c10::Device device(c10::DeviceType::CPU);
    if (bytes == 0) return {nullptr, nullptr, &Delete, device};
    const Category category = CategoryScope::Current();
    // Half the address space: beyond it the header would not fit, and sizes are signed in the ledger.
    constexpr size_t kMost = std::numeric_limits<int64_t>::max() - kAlignment;
    Header* header = bytes > kMost ? nullptr : static_cast<Header*>(pool_->Allocate(bytes + sizeof(Header)));
    if (header == nullptr) {
      const std::string message =
          absl::StrCat("out of memory: ", bytes, " bytes (", CategoryName(category), ") were asked for, ",
                       ledger_->total_live(), " are held in tensors; a smaller micro_batch needs less");
      C10_THROW_ERROR(OutOfMemoryError, message);
    }
    *header = {kMagic, static_cast<int64_t>(bytes), ledger_, pool_, category};
    ledger_->Allocate(category, header->bytes);
    // Context and data are the same pointer: LibTorch's raw allocations (matmul, GELU, oneDNN) ask for that.
    void* data = header + 1;
    return {data, data, &Delete, device};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &Delete; }

  void copy_data(void* to, const void* from, std::size_t bytes) const override { default_copy_data(to, from, bytes); }

  Ledger* ledger() const { return ledger_; }

 private:
  Ledger* const ledger_;
  Pool* const pool_;
};

// Above LibTorch's own registrations (0).
constexpr uint8_t kPriority = 100;

}  // namespace

absl::Status InstallCountingAllocator(Ledger* ledger) {
  STOWAGE_CHECK(ledger != nullptr);
  // Never deleted, pool included: LibTorch keeps the pointer, and tensors their blocks, to the end of the process.
  static std::mutex* const mu = new std::mutex;
  static CountingAllocator* installed = nullptr;
  const std::lock_guard<std::mutex> lock(*mu);
  if (installed != nullptr) {
    if (installed->ledger() == ledger) return absl::OkStatus();
    return absl::FailedPreconditionError(
        "LibTorch's CPU allocator counts into another ledger already; a process has one, pass that one on");
  }
  STOWAGE_ASSIGN_OR_RETURN(std::unique_ptr<Pool> pool, Pool::Create(PoolOptions()));
  auto* const allocator = installed = new CountingAllocator(ledger, pool.release());
  c10::SetAllocator(c10::DeviceType::CPU, allocator, kPriority);
  if (c10::GetAllocator(c10::DeviceType::CPU) != allocator) {
    return absl::FailedPreconditionError(
        absl::StrCat("another library has set LibTorch's CPU allocator with a priority above ", kPriority,
                     "; tensors would not be counted"));
  }
  return absl::OkStatus();
}

}  // namespace stowage
