// What lies before each block that the counting allocator gives out: all that freeing it needs, since LibTorch frees
// through a plain function that gets the pointer and nothing else, and what the block is called.
#ifndef STOWAGE_MEMORY_BLOCK_HEADER_H_
#define STOWAGE_MEMORY_BLOCK_HEADER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "memory/category.h"
#include "memory/label.h"
#include "memory/place.h"

namespace stowage {

class BlockSource;
class Ledger;

// Of a tensor with a name of its own.
struct BlockDescription {
  std::string name;
  std::vector<int64_t> shape;
  DType dtype = DType::kFloat32;
};

// As LibTorch's own blocks: a cache line, and the widest vector.
struct alignas(64) BlockHeader {
  static constexpr uint32_t kMagic = 0x6777'7453;  // "Stwg"

  uint32_t magic = 0;
  Label name;  // of the scope it was made in
  int64_t bytes = 0;
  Ledger* ledger = nullptr;
  BlockSource* source = nullptr;
  Label instruction;
  Category category = Category::kWorkspace;
  Place place = Place::kHost;
  bool listed = false;  // in Holders, whose are the next three
  BlockHeader* previous = nullptr;
  BlockHeader* next = nullptr;
  BlockDescription* description = nullptr;  // owned; null: none
};
static_assert(sizeof(BlockHeader) == 64, "the block after the header must be aligned");

}  // namespace stowage

#endif  // STOWAGE_MEMORY_BLOCK_HEADER_H_
