// Where LibTorch's blocks come from for as long as the scope lives: another pool, or none.
//
//   SystemSource system;
//   {
//     PoolScope without_pool(&system);       // for the whole process, not for this thread alone
//     ...
//     PoolScope pooled(nullptr);             // inside, the installed pool again
//   }
//
// Tensors may live across the begin and the end of a scope: each goes back where it came from. Scopes nest and end in
// the reverse order of their begin; what was there before is there again. The counting allocator must be installed.
#ifndef STOWAGE_MEMORY_POOL_SCOPE_H_
#define STOWAGE_MEMORY_POOL_SCOPE_H_

#include "base/check.h"
#include "memory/block_source.h"
#include "memory/counting_allocator.h"

namespace stowage {

class PoolScope {
 public:
  // `source` is borrowed and must live as long as any block of it; null: the installed pool.
  explicit PoolScope(BlockSource* source) : source_(source), outer_(SetBlockSource(source)) {}
  ~PoolScope() {
    BlockSource* const inner = SetBlockSource(outer_);
    STOWAGE_CHECK(inner == source_) << "scopes end in the reverse order of their begin";
  }
  PoolScope(const PoolScope&) = delete;
  PoolScope& operator=(const PoolScope&) = delete;

 private:
  BlockSource* const source_;
  BlockSource* const outer_;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_POOL_SCOPE_H_
