#include <algorithm>
#include <fstream>

#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "trainer/data/test_files.h"
#include "trainer/data/tokenizers/make_tokenizer.h"
#include "trainer/data/tokenizers/train_tokenizer.h"

namespace stowage {
namespace {

// A model learned from a few lines, one for all tests.
const std::string& SmallModel() {
  static const std::string* const model = [] {
    const std::string path = testing::TempDir() + "/small_model.txt";
    std::ofstream file(path);
    for (int i = 0; i < 200; ++i) file << "the ship lies low in the water, and the load line shows it " << i << "\n";
    file.close();
    TokenizerTraining training;
    training.files = {{path, DataFormat::kText}};
    training.vocabulary = 330;
    auto trained = TrainTokenizer(training);
    EXPECT_TRUE(trained.ok()) << trained.status();
    return new std::string(trained.value_or(""));
  }();
  return *model;
}

class SentencePieceTokenizerTest : public testing::Test {
 protected:
  SentencePieceTokenizerTest() {
    auto made = MakeTokenizer("sentencepiece", SmallModel());
    EXPECT_TRUE(made.ok()) << made.status();
    tokenizer_ = *std::move(made);
  }

  std::string RoundTrip(const std::string& text) const {
    auto tokens = tokenizer_->Encode(text);
    EXPECT_TRUE(tokens.ok()) << tokens.status();
    int64_t bytes = 0;
    for (int64_t token : *tokens) bytes += tokenizer_->TextBytes(token);
    EXPECT_EQ(bytes, static_cast<int64_t>(text.size())) << text;
    return tokenizer_->Decode(*tokens);
  }

  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(SentencePieceTokenizerTest, FrequentWordsAreOneTokenAndTextIsShorterThanInBytes) {
  EXPECT_EQ(tokenizer_->vocabulary(), 330);
  EXPECT_EQ(tokenizer_->kind(), "sentencepiece");
  auto tokens = tokenizer_->Encode(" the water");
  ASSERT_TRUE(tokens.ok());
  EXPECT_EQ(tokens->size(), 2) << absl::StrJoin(*tokens, " ");
}

TEST_F(SentencePieceTokenizerTest, AnyBytesComeBackAsTheyWere) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  for (const std::string& text :
       {std::string("the ship"), std::string("  two  spaces \t\n\n and\r\nlines\n"), std::string("\n"), std::string(""),
        std::string("<unk> <s> </s> <0x41>"), std::string("\xd0\x96 \xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x9a\xa2"),
        std::string("U+2581: \xe2\x96\x81 and U+FFFD: \xef\xbf\xbd"), std::string("nul \0 inside", 12), all,
        std::string("cut \xe4\xb8"), std::string("\xc0\xaf overlong \xed\xa0\x80 surrogate")}) {
    EXPECT_EQ(RoundTrip(text), text);
  }
}

TEST_F(SentencePieceTokenizerTest, TextDoesNotSpellControlPieces) {
  auto tokens = tokenizer_->Encode("</s>");
  ASSERT_TRUE(tokens.ok());
  EXPECT_EQ(std::count(tokens->begin(), tokens->end(), tokenizer_->end_of_document()), 0);
}

TEST_F(SentencePieceTokenizerTest, PiecesOfADocumentEncodeAsTheWholeDoes) {
  const std::string first = "the ship lies\n", second = "low in the water";
  auto whole = tokenizer_->Encode(first + second);
  auto tokens = tokenizer_->Encode(first);
  auto more = tokenizer_->Encode(second);
  ASSERT_TRUE(whole.ok() && tokens.ok() && more.ok());
  tokens->insert(tokens->end(), more->begin(), more->end());
  EXPECT_EQ(*tokens, *whole);
}

TEST_F(SentencePieceTokenizerTest, IdsOutsideTheVocabularyAreReplacementCharacters) {
  EXPECT_EQ(tokenizer_->Decode({330, -1}), "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(tokenizer_->Decode({tokenizer_->end_of_document()}), "");
  EXPECT_EQ(tokenizer_->TextBytes(tokenizer_->end_of_document()), 0);
}

TEST_F(SentencePieceTokenizerTest, TheModelMakesTheSameTokenizerAgain) {
  auto again = MakeTokenizer("sentencepiece", tokenizer_->model());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ((*again)->fingerprint(), tokenizer_->fingerprint());
  EXPECT_EQ(*(*again)->Encode("the load line"), *tokenizer_->Encode("the load line"));
}

TEST_F(SentencePieceTokenizerTest, FilesThatAreNoModelAreRefused) {
  EXPECT_TRUE(Says(MakeTokenizer("sentencepiece", "junk").status(), {"is not a SentencePiece model"}));
  EXPECT_TRUE(Says(MakeTokenizer("sentencepiece", "").status(), {"is not a SentencePiece model"}));
  const std::string half = SmallModel().substr(0, SmallModel().size() / 2);
  EXPECT_FALSE(MakeTokenizer("sentencepiece", half).ok());
  EXPECT_EQ(ReadTokenizer(testing::TempDir() + "/none.model").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace stowage
