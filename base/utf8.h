// Text for a terminal or a JSON file out of bytes that may not be text.
#ifndef STOWAGE_BASE_UTF8_H_
#define STOWAGE_BASE_UTF8_H_

#include <string>

#include "absl/strings/string_view.h"

namespace stowage {

// `bytes` with everything that is not well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above
// U+10FFFF) replaced by U+FFFD, one for each maximal ill-formed piece. Valid text comes back as it is.
std::string ValidUtf8(absl::string_view bytes);

}  // namespace stowage

#endif  // STOWAGE_BASE_UTF8_H_
