// Text inside XML and HTML.
#ifndef STOWAGE_TRAINER_PLAN_XML_TEXT_H_
#define STOWAGE_TRAINER_PLAN_XML_TEXT_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace stowage {

// For text between tags and for values in either kind of quotes: & < > " ' as entities. What neither XML 1.0 nor UTF-8
// allows (control characters but tab and line ends, torn sequences) becomes U+FFFD. Thread-safe: no state.
std::string XmlText(absl::string_view text);

// At most `letters` code points; of a longer text the first ones and "…". Torn UTF-8 is mended first.
std::string Shortened(absl::string_view text, size_t letters);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_PLAN_XML_TEXT_H_
