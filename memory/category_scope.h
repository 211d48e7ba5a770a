// Says what the tensors are for that this thread allocates, for as long as the scope lives.
//
//   {
//     CategoryScope scope(Category::kOptimizer);
//     moments = at::zeros({numel});           // counted as optimizer bytes until it is freed, wherever that is
//   }
//
// Scopes nest; the innermost holds. Outside any scope the category is workspace. Threads have scopes of their own: a
// new thread, one of the OpenMP team too, starts with workspace.
#ifndef STOWAGE_MEMORY_CATEGORY_SCOPE_H_
#define STOWAGE_MEMORY_CATEGORY_SCOPE_H_

#include "memory/category.h"

namespace stowage {

class CategoryScope {
 public:
  explicit CategoryScope(Category category);
  ~CategoryScope();
  CategoryScope(const CategoryScope&) = delete;
  CategoryScope& operator=(const CategoryScope&) = delete;

  // This thread's innermost category.
  static Category Current();

 private:
  const Category outer_;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_CATEGORY_SCOPE_H_
