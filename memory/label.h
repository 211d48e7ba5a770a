// A name that many blocks share, in four bytes: what a tensor belongs to ("h.3.attn gradients"), or the instruction
// that made it ("forward h.3.attn").
//
// Texts are kept once and to the end of the process, so that a block can carry one at no cost. That is right for names
// of segments, groups and instructions, of which a program has some hundreds, and wrong for names with a step's number
// in them: a tensor's very own name goes into its block (see block_header.h).
#ifndef STOWAGE_MEMORY_LABEL_H_
#define STOWAGE_MEMORY_LABEL_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace stowage {

class Label {
 public:
  // No name.
  constexpr Label() = default;
  // The label of this text, the same for equal texts. A lock and a look-up; make it once, not for each use.
  // Thread-safe.
  explicit Label(absl::string_view text);

  // Empty for no name. Thread-safe.
  std::string text() const;

  friend bool operator==(Label a, Label b) { return a.id_ == b.id_; }
  friend bool operator!=(Label a, Label b) { return a.id_ != b.id_; }

 private:
  uint32_t id_ = 0;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_LABEL_H_
