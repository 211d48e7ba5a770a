#include "trainer/plan/xml_text.h"

#include "absl/strings/str_replace.h"
#include "base/utf8.h"

namespace stowage {
namespace {

bool StartsLetter(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

}  // namespace

std::string XmlText(absl::string_view text) {
  std::string out;
  for (const char c : ValidUtf8(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        if ((static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F) {
          out += "\xEF\xBF\xBD";
        } else {
          out += c;
        }
    }
  }
  // The two noncharacters that XML leaves out.
  return absl::StrReplaceAll(out, {{"\xEF\xBF\xBE", "\xEF\xBF\xBD"}, {"\xEF\xBF\xBF", "\xEF\xBF\xBD"}});
}

std::string Shortened(absl::string_view text, size_t letters) {
  const std::string valid = ValidUtf8(text);
  size_t count = 0;
  size_t cut = valid.size();  // where the last letter that stays beside "…" ends
  for (size_t i = 0; i < valid.size(); ++i) {
    if (!StartsLetter(valid[i])) continue;
    if (count + 1 == letters) cut = i;
    if (++count > letters) return valid.substr(0, cut) + "\xE2\x80\xA6";
  }
  return valid;
}

}  // namespace stowage
