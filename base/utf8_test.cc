#include "base/utf8.h"

#include <gtest/gtest.h>

namespace stowage {
namespace {

TEST(ValidUtf8Test, TextComesBackAsItIs) {
  for (const char* text : {"", "plain", "\xc3\xa9t\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x9a\xa2 ship"}) {
    EXPECT_EQ(ValidUtf8(text), text);
  }
}

TEST(ValidUtf8Test, WhatIsNotTextIsReplacedAndNothingElse) {
  EXPECT_EQ(ValidUtf8("a\xff" "b"), "a\xef\xbf\xbd" "b");
  EXPECT_EQ(ValidUtf8("cut \xe2\x82"), "cut \xef\xbf\xbd");                     // in the middle of a character
  EXPECT_EQ(ValidUtf8("\xc0\xaf"), "\xef\xbf\xbd\xef\xbf\xbd");                  // overlong
  EXPECT_EQ(ValidUtf8("\xed\xa0\x80").substr(0, 3), "\xef\xbf\xbd");            // a surrogate
  EXPECT_EQ(ValidUtf8("\xf4\x90\x80\x80").substr(0, 3), "\xef\xbf\xbd");        // above U+10FFFF
  EXPECT_EQ(ValidUtf8("\xe2x"), "\xef\xbf\xbdx");                               // a letter is not swallowed
}

}  // namespace
}  // namespace stowage
