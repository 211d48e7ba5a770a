#include "memory/holders.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/byte_size.h"
#include "base/check.h"

namespace stowage {
namespace {

bool Larger(const Holder& a, const Holder& b) { return a.bytes > b.bytes; }

Holder Copy(const BlockHeader& block) {
  Holder holder;
  holder.bytes = block.bytes;
  holder.category = block.category;
  holder.place = block.place;
  holder.instruction = block.instruction.text();
  if (block.description == nullptr) {
    holder.name = block.name.text();
  } else {
    holder.name = block.description->name;
    holder.shape = block.description->shape;
    holder.dtype = block.description->dtype;
  }
  return holder;
}

}  // namespace

std::string HolderText(const Holder& holder) {
  std::string text = absl::StrCat(HumanByteSize(holder.bytes), " ", CategoryName(holder.category));
  if (holder.place != Place::kHost) absl::StrAppend(&text, " on ", PlaceName(holder.place));
  if (!holder.name.empty()) absl::StrAppend(&text, ": ", holder.name);
  if (holder.shape) absl::StrAppend(&text, " [", absl::StrJoin(*holder.shape, ", "), "] ", DTypeName(holder.dtype));
  if (!holder.instruction.empty()) absl::StrAppend(&text, ", made by ", holder.instruction);
  return text;
}

int Holders::StripeOf(const BlockHeader* block) {
  // Fibonacci hashing: blocks of one size lie at regular distances, and the top bits of the product do not.
  return static_cast<int>((reinterpret_cast<uintptr_t>(block) >> 6) * 0x9E37'79B9'7F4A'7C15 >> 60);
}

void Holders::Link(BlockHeader* block, Stripe* stripe) {
  block->listed = true;
  block->previous = nullptr;
  block->next = stripe->first;
  if (stripe->first != nullptr) stripe->first->previous = block;
  stripe->first = block;
  ++stripe->size;
}

void Holders::Add(BlockHeader* block) {
  Stripe& stripe = stripes_[StripeOf(block)];
  const std::lock_guard<std::mutex> lock(stripe.mu);
  Link(block, &stripe);
}

void Holders::Remove(BlockHeader* block) {
  std::unique_ptr<BlockDescription> description;  // freed after the lock is
  Stripe& stripe = stripes_[StripeOf(block)];
  const std::lock_guard<std::mutex> lock(stripe.mu);
  STOWAGE_CHECK(block->listed) << block;
  description.reset(std::exchange(block->description, nullptr));
  (block->previous == nullptr ? stripe.first : block->previous->next) = block->next;
  if (block->next != nullptr) block->next->previous = block->previous;
  block->listed = false;
  --stripe.size;
}

void Holders::Describe(BlockHeader* block, std::unique_ptr<BlockDescription> description) {
  std::unique_ptr<BlockDescription> old;
  Stripe& stripe = stripes_[StripeOf(block)];
  const std::lock_guard<std::mutex> lock(stripe.mu);
  old.reset(std::exchange(block->description, description.release()));
  if (!block->listed) Link(block, &stripe);
}

std::vector<Holder> Holders::Largest(int count) const {
  std::vector<Holder> largest;  // a heap whose front is the smallest of them
  if (count <= 0) return largest;
  for (const Stripe& stripe : stripes_) {
    const std::lock_guard<std::mutex> lock(stripe.mu);
    for (const BlockHeader* block = stripe.first; block != nullptr; block = block->next) {
      const bool full = static_cast<int>(largest.size()) == count;
      if (full && block->bytes <= largest.front().bytes) continue;
      if (full) {
        std::pop_heap(largest.begin(), largest.end(), Larger);
        largest.pop_back();
      }
      largest.push_back(Copy(*block));
      std::push_heap(largest.begin(), largest.end(), Larger);
    }
  }
  std::sort_heap(largest.begin(), largest.end(), Larger);
  return largest;
}

int64_t Holders::size() const {
  int64_t size = 0;
  for (const Stripe& stripe : stripes_) {
    const std::lock_guard<std::mutex> lock(stripe.mu);
    size += stripe.size;
  }
  return size;
}

}  // namespace stowage
