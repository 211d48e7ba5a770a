#include "trainer/data/open_data.h"

#include <sys/wait.h>
#include <unistd.h>

#include "trainer/data/open_tokens.h"
#include "trainer/data/prepare.h"
#include "trainer/data/test_files.h"

namespace stowage {
namespace {

class OpenDataTest : public DataTest {
 protected:
  OpenDataTest() { config_.cache = Path("cache"); }

  absl::StatusOr<Data> Open(int64_t context = 8, int64_t vocabulary = 0) {
    said_.clear();
    return OpenData(config_, context, vocabulary, [&](const std::string& line) { said_.push_back(line); });
  }

  std::string Text(const std::string& name, int bytes = 1000) { return Write(name, std::string(bytes, 'a')); }

  // The one folder in the cache.
  std::string CacheEntry() {
    for (const auto& entry : std::filesystem::directory_iterator(Path("cache"))) {
      if (entry.is_directory()) return entry.path();
    }
    return "";
  }

  size_t CacheEntries() {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(Path("cache"))) count += entry.is_directory();
    return count;
  }

  DataConfig config_;
  std::vector<std::string> said_;
};

TEST_F(OpenDataTest, TheBuiltInTextIsPreparedOnceAndSplit) {
  config_.source = "kjv";
  auto data = Open(256);
  ASSERT_TRUE(data.ok()) << data.status();
  ASSERT_EQ(said_.size(), 1);
  EXPECT_NE(said_[0].find("3963972 training tokens, 440441 validation tokens"), std::string::npos) << said_[0];
  EXPECT_EQ(data->train->size(), 3963972 / 256 - 1);
  EXPECT_EQ(data->validation->size(), 440440 / 256);
  EXPECT_EQ(data->train->shape().vocabulary, 256);
  const std::string fingerprint = data->train->fingerprint();
  data = Open(256);
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_TRUE(said_.empty()) << said_[0];
  EXPECT_EQ(data->train->fingerprint(), fingerprint);
}

TEST_F(OpenDataTest, ChangedTextsAndOptionsArePreparedAnew) {
  config_.train = {Text("a.txt", 1000)};
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(CacheEntries(), 1);
  Text("a.txt", 2000);
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(CacheEntries(), 2);
  config_.validation_fraction = 0.2;
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(CacheEntries(), 3);
}

TEST_F(OpenDataTest, ADamagedCacheIsMadeAnewAndSaid) {
  config_.train = {Text("a.txt")};
  ASSERT_TRUE(Open().ok());
  const std::string shard = CacheEntry() + "/train.stow";
  std::string bytes = ReadAll(shard);
  bytes[100] ^= 1;
  std::ofstream(shard, std::ios::binary) << bytes;
  auto data = Open();
  ASSERT_TRUE(data.ok()) << data.status();
  ASSERT_EQ(said_.size(), 2);
  EXPECT_NE(said_[0].find("damaged and made anew"), std::string::npos) << said_[0];
  ASSERT_TRUE(Open().ok());
  EXPECT_TRUE(said_.empty());
}

TEST_F(OpenDataTest, OfManyProcessesOnePrepares) {
  config_.source = "kjv";
  int said[2];
  ASSERT_EQ(pipe(said), 0);
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    children.push_back(fork());
    ASSERT_GE(children.back(), 0);
    if (children.back() == 0) {
      auto tokens = OpenTokens(config_, 0, [&](const std::string& line) {
        if (line.rfind("prepared", 0) == 0) (void)!write(said[1], "p", 1);
      });
      _exit(tokens.ok() && tokens->train.tokens() == 3963972 ? 0 : 1);
    }
  }
  for (pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  close(said[1]);
  char prepared[8];
  EXPECT_EQ(read(said[0], prepared, sizeof(prepared)), 1);
  close(said[0]);
}

TEST_F(OpenDataTest, TokenFilesAreReadAsTheyAre) {
  config_.train = {Write("t0.bin", LlmC(20240520, 1, 20) + Bytes(std::vector<uint16_t>(20, 7))),
                   Write("t1.bin", LlmC(20240520, 1, 20) + Bytes(std::vector<uint16_t>(20, 8)))};
  auto data = Open();
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->train->size(), 40 / 8 - 1);
  EXPECT_EQ(data->train->shape().vocabulary, 50257);
  EXPECT_EQ(data->validation, nullptr);
  EXPECT_FALSE(std::filesystem::exists(Path("cache")));
  // The same by a pattern.
  const std::string fingerprint = data->train->fingerprint();
  config_.train = {Path("t?.bin")};
  data = Open();
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->train->fingerprint(), fingerprint);
}

TEST_F(OpenDataTest, NanoGptTokensAreCheckedAgainstTheModelsVocabulary) {
  config_.train = {Write("train.bin", Bytes(std::vector<uint16_t>(100, 64)))};
  config_.validation = {Write("val.bin", Bytes(std::vector<uint16_t>(100, 65)))};
  EXPECT_TRUE(Says(Open().status(), {"train.bin", "data.format: nanogpt"}));
  config_.format = "nanogpt";
  auto data = Open();
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->train->shape().vocabulary, 0);
  ASSERT_TRUE(Open(8, 66).ok());
  EXPECT_TRUE(Says(Open(8, 65).status(), {"val.bin", "token 65 at position 0"}));
  EXPECT_TRUE(Says(Open(8, 64).status(), {"train.bin", "token 64 at position 0"}));
}

TEST_F(OpenDataTest, ValidationTokensBeyondTheTrainingVocabularyAreRefused) {
  config_.train = {Write("t.bin", LlmC(20240520, 1, 20) + Bytes(std::vector<uint16_t>(20, 7)))};
  config_.validation = {Write("v.bin", LlmC(20240801, 7, 20) + Bytes(std::vector<uint32_t>(20, 60000)))};
  EXPECT_TRUE(Says(Open().status(), {"v.bin", "token 60000"}));
}

TEST_F(OpenDataTest, APreparedFolderIsBothSets) {
  PrepareRequest request;
  request.train = {Text("a.txt")};
  request.output = Path("prepared");
  ASSERT_TRUE(PrepareData(request).ok());
  config_.train = {Path("prepared")};
  auto data = Open();
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->validation->size(), 12);
  config_.train = {Path("prepared/train.stow")};
  data = Open();
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->validation, nullptr);
  std::filesystem::remove(Path("prepared/meta.json"));
  config_.train = {Path("prepared")};
  EXPECT_TRUE(Says(Open().status(), {"meta.json"}));
}

class SubwordDataTest : public OpenDataTest {
 protected:
  SubwordDataTest() {
    std::string text;
    for (int i = 0; i < 300; ++i) absl::StrAppend(&text, "the ship of the line carries ballast ", i, "\n");
    config_.train = {Write("ships.txt", text)};
    config_.tokenizer = "bpe";
    config_.tokenizer_vocabulary = 320;
  }

  // The same text with that many tokens, in a folder of its own.
  std::string Prepare(int64_t vocabulary) {
    PrepareRequest request;
    request.train = {Path("ships.txt")};
    request.tokenizer = "bpe";
    request.vocabulary = vocabulary;
    request.output = Path(absl::StrCat("prepared", vocabulary));
    EXPECT_TRUE(PrepareData(request).ok());
    return request.output;
  }
};

TEST_F(SubwordDataTest, TextIsPreparedWithALearnedTokenizer) {
  auto data = Open();
  ASSERT_TRUE(data.ok()) << data.status();
  ASSERT_NE(data->tokenizer, nullptr);
  EXPECT_EQ(data->tokenizer->vocabulary(), 320);
  EXPECT_FALSE(data->tokenizer->model().empty());
  EXPECT_EQ(data->train->shape().vocabulary, 320);
  EXPECT_EQ(data->train->shape().tokenizer, "bpe");
  EXPECT_GT(data->validation->text_bytes_per_target(), 2.0);
  EXPECT_LT(data->validation->text_bytes_per_target(), 10.0);
  EXPECT_NE(data->train->fingerprint().find(data->tokenizer->fingerprint()), std::string::npos);
  ASSERT_TRUE(Open().ok());
  EXPECT_TRUE(said_.empty());
  config_.tokenizer_vocabulary = 310;
  auto other = Open();
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ(CacheEntries(), 2);
  EXPECT_NE(other->train->fingerprint(), data->train->fingerprint());
}

TEST_F(SubwordDataTest, APreparedFolderBringsItsTokenizer) {
  config_ = DataConfig();
  config_.train = {Prepare(320)};
  auto data = Open();
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->tokenizer->vocabulary(), 320);
  EXPECT_EQ(data->train->shape().tokenizer, "bpe");
  // What a resolved config says of it opens it again.
  config_.tokenizer = "bpe";
  config_.tokenizer_vocabulary = 320;
  EXPECT_TRUE(Open().ok());
  config_.tokenizer_vocabulary = 300;
  EXPECT_TRUE(Says(Open().status(), {"data.tokenizer_vocabulary: 300", "320 tokens"}));
  config_.tokenizer_vocabulary.reset();
  config_.tokenizer = "bytes";
  EXPECT_TRUE(Says(Open().status(), {"data.tokenizer: bytes", "prepared with bpe"}));
  config_.tokenizer = config_.train[0] + "/tokenizer.model";
  EXPECT_TRUE(Open().ok());
  config_.tokenizer = Prepare(310) + "/tokenizer.model";
  EXPECT_TRUE(Says(Open().status(), {"310/tokenizer.model", "prepared with bpe"}));
}

TEST_F(SubwordDataTest, TokenFilesSayNotWhatTheyStandForUnlessTold) {
  const std::string model = Prepare(320) + "/tokenizer.model";
  config_ = DataConfig();
  config_.train = {Write("t.bin", LlmC(20240520, 1, 40) + Bytes(std::vector<uint16_t>(40, 300)))};
  auto data = Open();
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->tokenizer, nullptr);
  EXPECT_EQ(data->train->shape().tokenizer, "none");
  config_.tokenizer = model;
  data = Open();
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->tokenizer->vocabulary(), 320);
  EXPECT_EQ(data->train->shape().tokenizer, model);
  config_.tokenizer = "bpe";
  EXPECT_TRUE(Says(Open().status(), {"data.tokenizer: bpe", "t.bin holds tokens"}));
  config_.tokenizer = "none";
  EXPECT_TRUE(Open().ok());
  config_.train = {Path("ships.txt")};
  EXPECT_TRUE(Says(Open().status(), {"data.tokenizer: none", "text needs one"}));
}

TEST_F(SubwordDataTest, AVocabularyOfAnotherTokenizerIsRefused) {
  config_.tokenizer.clear();
  EXPECT_TRUE(Says(Open().status(), {"tokenizer_vocabulary", "320", "bytes"}));
}

TEST_F(OpenDataTest, TextAndTokensAreNotMixed) {
  config_.train = {Text("a.txt"), Write("b.bin", LlmC(20240520, 1, 1) + "ab")};
  EXPECT_TRUE(Says(Open().status(), {"a.txt", "b.bin (llmc)"}));
}

TEST_F(OpenDataTest, WhatIsMissingIsNamed) {
  EXPECT_TRUE(Says(Open().status(), {"source", "train"}));
  config_.train = {Path("none.txt")};
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(Says(Open().status(), {"none.txt"}));
  config_.train = {Path("none*.bin")};
  EXPECT_TRUE(Says(Open().status(), {"data.train", "none*.bin"}));
  config_.train = {Text("a.txt")};
  config_.source = "kjv";
  EXPECT_TRUE(Says(Open().status(), {"both given"}));
  config_.train.clear();
  config_.source = "kv";
  EXPECT_TRUE(Says(Open().status(), {"did you mean kjv?"}));
}

TEST_F(OpenDataTest, TooLittleTextForOneSequenceIsSaid) {
  config_.train = {Text("a.txt", 100)};
  EXPECT_TRUE(Open(8).ok());
  EXPECT_TRUE(Says(Open(10).status(), {"validation", "10 tokens", "= 11"}));
  EXPECT_TRUE(Says(Open(256).status(), {"training", "91 tokens", "= 257"}));
}

TEST_F(OpenDataTest, TheCacheFollowsXdg) {
  config_.cache.clear();
  setenv("XDG_CACHE_HOME", Path("xdg").c_str(), 1);
  config_.train = {Text("a.txt")};
  const absl::Status status = Open().status();
  unsetenv("XDG_CACHE_HOME");
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_FALSE(std::filesystem::is_empty(Path("xdg/stowage/data")));
}

}  // namespace
}  // namespace stowage
