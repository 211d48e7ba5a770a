#include "trainer/config/expand.h"

#include <cstdlib>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace stowage {

absl::StatusOr<std::string> ExpandEnvironment(absl::string_view text) {
  std::string out;
  while (!text.empty()) {
    if (absl::StartsWith(text, "$${")) {
      out += "${";
      text.remove_prefix(3);
    } else if (absl::StartsWith(text, "${")) {
      const size_t end = text.find('}');
      if (end == absl::string_view::npos) {
        return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" opens \"${\" and does not close it"));
      }
      const std::string name(text.substr(2, end - 2));
      const char* value = name.empty() ? nullptr : std::getenv(name.c_str());
      if (value == nullptr) {
        return absl::InvalidArgumentError(absl::StrCat("the environment variable \"", name, "\" is not set"));
      }
      out += value;
      text.remove_prefix(end + 1);
    } else {
      out += text.front();
      text.remove_prefix(1);
    }
  }
  return out;
}

std::string EscapeExpansion(absl::string_view text) { return absl::StrReplaceAll(text, {{"${", "$${"}}); }

}  // namespace stowage
