#include "memory/category_scope.h"

namespace stowage {
namespace {

// What belongs to a thread cannot be passed in: LibTorch calls the allocator from the depth of its operators.
thread_local Category current = Category::kWorkspace;

}  // namespace

CategoryScope::CategoryScope(Category category) : outer_(current) { current = category; }
CategoryScope::~CategoryScope() { current = outer_; }
Category CategoryScope::Current() { return current; }

}  // namespace stowage
