// Who holds the memory: the live blocks that matter, with their names, and the largest of them.
//
// Blocks are linked through their own headers, so that listing allocates nothing; a lock is held for a few instructions
// and shared with one block in sixteen.
//
// Thread-safe.
#ifndef STOWAGE_MEMORY_HOLDERS_H_
#define STOWAGE_MEMORY_HOLDERS_H_

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "memory/block_header.h"

namespace stowage {

// A live block, as copied out of the list.
struct Holder {
  int64_t bytes = 0;
  Category category = Category::kWorkspace;
  Place place = Place::kHost;
  std::string name;                           // its own, or its scope's; empty: none was given
  std::string instruction;                    // that made it; empty: none was being played
  std::optional<std::vector<int64_t>> shape;  // of a block with a name of its own
  DType dtype = DType::kFloat32;              // with `shape`
};

// "147.2 MiB parameters: wte [50257, 768] F32", "12 MiB activations, made by forward h.3.attn".
std::string HolderText(const Holder& holder);

class Holders {
 public:
  constexpr Holders() = default;
  Holders(const Holders&) = delete;
  Holders& operator=(const Holders&) = delete;

  // `block` is live, filled in and not listed; it stays where it is until it was taken out.
  void Add(BlockHeader* block);
  // Takes a listed block out, its description with it.
  void Remove(BlockHeader* block);
  // Gives a live block a name of its own; lists it if it is not. The caller holds the block.
  void Describe(BlockHeader* block, std::unique_ptr<BlockDescription> description);

  // The `count` largest, largest first; blocks that come and go meanwhile may be in it or not.
  std::vector<Holder> Largest(int count) const;
  int64_t size() const;

 private:
  // Of one sixteenth of the addresses.
  struct alignas(64) Stripe {
    mutable std::mutex mu;
    BlockHeader* first = nullptr;
    int64_t size = 0;
  };
  static constexpr int kStripes = 16;

  static int StripeOf(const BlockHeader* block);
  static void Link(BlockHeader* block, Stripe* stripe);

  std::array<Stripe, kStripes> stripes_;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_HOLDERS_H_
