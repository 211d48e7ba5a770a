#include "base/utf8.h"

namespace stowage {
namespace {

// The length of the well-formed sequence at the start of `s`, or minus the length of the ill-formed piece there.
int SequenceLength(absl::string_view s) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  int length = 0;
  unsigned char low = 0x80, high = 0xbf;  // of the second byte (Unicode 15, table 3-7)
  if (first >= 0xc2 && first <= 0xdf) {
    length = 2;
  } else if (first >= 0xe0 && first <= 0xef) {
    length = 3;
    if (first == 0xe0) low = 0xa0;
    if (first == 0xed) high = 0x9f;
  } else if (first >= 0xf0 && first <= 0xf4) {
    length = 4;
    if (first == 0xf0) low = 0x90;
    if (first == 0xf4) high = 0x8f;
  } else {
    return -1;
  }
  for (int i = 1; i < length; ++i) {
    if (i >= static_cast<int>(s.size()) || byte(i) < low || byte(i) > high) return -i;
    low = 0x80;
    high = 0xbf;
  }
  return length;
}

}  // namespace

std::string ValidUtf8(absl::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const int length = SequenceLength(bytes);
    if (length > 0) {
      text.append(bytes.data(), length);
    } else {
      text += "\xef\xbf\xbd";
    }
    bytes.remove_prefix(length > 0 ? length : -length);
  }
  return text;
}

}  // namespace stowage
