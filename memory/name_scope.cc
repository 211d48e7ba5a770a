#include "memory/name_scope.h"

namespace stowage {
namespace {

// What belongs to a thread cannot be passed in: LibTorch calls the allocator from the depth of its operators.
thread_local Label current_name;
thread_local Label current_instruction;

}  // namespace

NameScope::NameScope(Label name) : outer_(current_name) { current_name = name; }
NameScope::~NameScope() { current_name = outer_; }
Label NameScope::Current() { return current_name; }

InstructionScope::InstructionScope(Label instruction) : outer_(current_instruction) {
  current_instruction = instruction;
}
InstructionScope::~InstructionScope() { current_instruction = outer_; }
Label InstructionScope::Current() { return current_instruction; }

}  // namespace stowage
