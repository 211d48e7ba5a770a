#include "trainer/data/tokenizers/train_tokenizer.h"

#include "trainer/data/builtin_source.h"
#include "trainer/data/test_files.h"
#include "trainer/data/tokenizers/make_tokenizer.h"

namespace stowage {
namespace {

class TrainTokenizerTest : public DataTest {
 protected:
  static std::string Lines(const std::string& word, int count) {
    std::string text;
    for (int i = 0; i < count; ++i) absl::StrAppend(&text, word, " ", i, " ", word, "\n");
    return text;
  }
  TokenizerTraining Training(const std::string& text, int64_t vocabulary) {
    TokenizerTraining training;
    training.files = {{Write("text.txt", text), DataFormat::kText}};
    training.vocabulary = vocabulary;
    return training;
  }
  // How many tokens the word takes after a space.
  static size_t Tokens(const std::string& model, const std::string& word) {
    auto tokenizer = MakeTokenizer("sentencepiece", model);
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
    return (*tokenizer)->Encode(" " + word)->size();
  }
};

TEST_F(TrainTokenizerTest, TheSameTextGivesTheSameModel) {
  auto a = TrainTokenizer(Training(Lines("ballast", 300), 300));
  auto b = TrainTokenizer(Training(Lines("ballast", 300), 300));
  ASSERT_TRUE(a.ok()) << a.status();
  EXPECT_EQ(*a, *b);
  EXPECT_EQ(Tokens(*a, "ballast"), 1);
}

TEST_F(TrainTokenizerTest, TooLargeAVocabularyNamesTheMost) {
  const auto most = TrainTokenizer(Training("ab ab ab", 2000));
  EXPECT_EQ(most.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(
      Says(most.status(), {"tokenizer_vocabulary (--vocab-size): 2000", "8 bytes of text", "265 pieces at most"}));
  EXPECT_TRUE(TrainTokenizer(Training("ab ab ab", 265)).ok());
}

TEST_F(TrainTokenizerTest, TooSmallAVocabularyNamesTheLeast) {
  EXPECT_TRUE(Says(TrainTokenizer(Training("ab ab ab", 260)).status(), {"260", "take 262"}));
  EXPECT_TRUE(TrainTokenizer(Training("ab ab ab", 262)).ok());
}

TEST_F(TrainTokenizerTest, TextThatIsNoneIsSaid) {
  EXPECT_TRUE(Says(TrainTokenizer(Training("\n\n\n", 300)).status(), {"no lines to learn from"}));
  EXPECT_TRUE(Says(TrainTokenizer(Training("\xff\xfe\xff\n", 300)).status(), {"no lines to learn from"}));
}

TEST_F(TrainTokenizerTest, WhatIsHeldOutIsNotLearned) {
  std::string lines;
  for (int i = 0; i < 100; ++i) absl::StrAppend(&lines, "{\"text\": \"", i % 2 ? "keel" : "mast", " ", i, "\"}\n");
  TokenizerTraining training;
  training.files = {{Write("a.jsonl", lines), DataFormat::kJsonl}};
  training.field = "text";
  training.vocabulary = 280;
  training.skip = [](int64_t document) { return document % 2 == 1; };
  auto model = TrainTokenizer(training);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(Tokens(*model, "mast"), 2);  // the space is apart: no "mast" that was learned from had one
  EXPECT_EQ(Tokens(*model, "keel"), 5);  // the space and four bytes
  training = Training(Lines("mast", 100) + Lines("keel", 100), 290);
  training.head = 0.5;
  model = TrainTokenizer(training);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(Tokens(*model, "mast"), 1);
  EXPECT_EQ(Tokens(*model, "keel"), 5);
}

TEST_F(TrainTokenizerTest, OfLargeTextASampleIsLearnedFrom) {
  TokenizerTraining training = Training(Lines("ballast", 2000), 300);
  training.text_bytes = 8000;
  auto sampled = TrainTokenizer(training);
  ASSERT_TRUE(sampled.ok()) << sampled.status();
  EXPECT_EQ(Tokens(*sampled, "ballast"), 1);
  training.vocabulary = 100000;
  const absl::Status status = TrainTokenizer(training).status();
  const std::string message(status.message());
  const size_t number = message.find("but the ");
  ASSERT_NE(number, std::string::npos) << status;
  const int bytes = std::stoi(message.substr(number + 8));
  EXPECT_GT(bytes, 6000);
  EXPECT_LT(bytes, 10000);
}

TEST_F(TrainTokenizerTest, LongLinesAreCutAndNotPassedOver) {
  std::string text;
  for (int i = 0; i < 20000; ++i) absl::StrAppend(&text, "ballast ");
  auto model = TrainTokenizer(Training(text, 272));
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(Tokens(*model, "ballast"), 1);
  text.clear();
  for (int i = 0; i < 20000; ++i) text += "\xe4\xb8\xad";  // one word of 60,000 bytes
  EXPECT_TRUE(TrainTokenizer(Training(text, 265)).ok());
}

TEST_F(TrainTokenizerTest, TheBibleTakesTwoFifthsOfItsBytes) {
  ASSERT_TRUE(WriteBuiltinSource("kjv", Path("kjv.txt")).ok());
  const std::string text = ReadAll(Path("kjv.txt")).substr(0, 400000);
  auto model = TrainTokenizer(Training(text, 2000));
  ASSERT_TRUE(model.ok()) << model.status();
  auto tokenizer = MakeTokenizer("sentencepiece", *model);
  auto tokens = (*tokenizer)->Encode(text);
  ASSERT_TRUE(tokens.ok());
  EXPECT_LT(tokens->size(), text.size() / 2.5);
  EXPECT_TRUE((*tokenizer)->Decode(*tokens) == text);
}

}  // namespace
}  // namespace stowage
