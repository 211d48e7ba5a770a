#include "gtest/gtest.h"
#include "trainer/data/tokenizers/make_tokenizer.h"

namespace stowage {
namespace {

TEST(ByteTokenizerTest, RoundTripsEveryByteButNul) {
  auto tokenizer = MakeTokenizer("bytes", "");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->vocabulary(), 256);
  std::string text;
  for (int byte = 255; byte > 0; --byte) text.push_back(static_cast<char>(byte));
  auto tokens = (*tokenizer)->Encode(text);
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  ASSERT_EQ(tokens->size(), 255);
  for (int i = 0; i < 255; ++i) EXPECT_EQ((*tokens)[i], 255 - i);
  EXPECT_EQ((*tokenizer)->Decode(*tokens), text);
}

TEST(ByteTokenizerTest, RefusesNulWithItsPosition) {
  auto tokenizer = MakeTokenizer("bytes", "");
  ASSERT_TRUE(tokenizer.ok());
  auto tokens = (*tokenizer)->Encode(absl::string_view("abc\0d", 5));
  EXPECT_EQ(tokens.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(tokens.status().message().find("NUL at byte 3"), absl::string_view::npos) << tokens.status();
}

TEST(ByteTokenizerTest, DecodesUnknownIdsAsReplacementCharacters) {
  auto tokenizer = MakeTokenizer("bytes", "");
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_EQ((*tokenizer)->Decode({'a', 256, -1, 'b'}),
            "a\xef\xbf\xbd\xef\xbf\xbd"
            "b");
}

TEST(MakeTokenizerTest, UnknownKindNamesWhatThereIs) {
  auto tokenizer = MakeTokenizer("bpe", "");
  EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(tokenizer.status().message().find("'bpe'"), absl::string_view::npos);
  EXPECT_NE(tokenizer.status().message().find("bytes"), absl::string_view::npos);
}

}  // namespace
}  // namespace stowage
