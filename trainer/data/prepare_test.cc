#include "trainer/data/prepare.h"

#include <cstring>

#include "base/hash.h"
#include "base/scoped_file_limit.h"
#include "trainer/data/builtin_source.h"
#include "trainer/data/file_lock.h"
#include "trainer/data/prepare_tokenizer.h"
#include "trainer/data/test_files.h"

namespace stowage {
namespace {

class PrepareTest : public DataTest {
 protected:
  PrepareRequest Request(std::vector<std::string> train) {
    PrepareRequest request;
    request.train = std::move(train);
    request.output = Path("out");
    return request;
  }

  // A shard's tokens as text.
  std::string Shard(const char* name) { return ReadAll(Path("out/") + name).substr(64); }
};

TEST_F(PrepareTest, OneTextHoldsOutItsTail) {
  auto data = PrepareData(Request({Write("a.txt", std::string(89, 'a') + "0123456789")}));
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->split, "tail");
  EXPECT_EQ(data->documents, 1);
  EXPECT_EQ(data->vocabulary, 256);
  EXPECT_EQ(Shard(kTrainShard), std::string(89, 'a') + "0");
  EXPECT_EQ(Shard(kValidationShard), std::string("123456789") + '\0');
  EXPECT_EQ(data->train.tokens, 90);
  EXPECT_EQ(data->train.file_bytes, 154);
  EXPECT_EQ(data->validation->tokens, 10);
}

TEST_F(PrepareTest, DocumentsAreSeparatedInTheOrderGiven) {
  PrepareRequest request =
      Request({Write("b.txt", "second"), Write("a.jsonl", "{\"body\":\"x\"}\n{\"body\":\"y\"}\n")});
  request.field = "body";
  request.validation_fraction = 0;
  auto data = PrepareData(request);
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->split, "none");
  EXPECT_EQ(data->documents, 3);
  EXPECT_EQ(Shard(kTrainShard), std::string("second\0x\0y\0", 11));
  EXPECT_FALSE(data->validation.has_value());
  EXPECT_FALSE(std::filesystem::exists(Path("out/validation.stow")));
}

TEST_F(PrepareTest, ManyDocumentsAreHeldOutWholeByTheirNumber) {
  std::string lines;
  for (int i = 0; i < 500; ++i) lines += absl::StrCat("{\"text\":\"", i, "\"}\n");
  auto data = PrepareData(Request({Write("a.jsonl", lines)}));
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->split, "documents");
  std::string train, validation;
  int held_out = 0;
  for (uint64_t i = 0; i < 500; ++i) {
    const bool out = HashKey({0x73706c6974, i}) < 1844674407370955162u;  // a tenth of 2^64
    (out ? validation : train) += absl::StrCat(i, std::string(1, '\0'));
    held_out += out;
  }
  EXPECT_EQ(Shard(kTrainShard), train);
  EXPECT_EQ(Shard(kValidationShard), validation);
  EXPECT_GT(held_out, 25);
  EXPECT_LT(held_out, 75);
}

TEST_F(PrepareTest, FewDocumentsHoldOutTheTailOfAll) {
  std::string lines;
  for (int i = 0; i < 99; ++i) lines += "{\"text\":\"123456789\"}\n";
  auto data = PrepareData(Request({Write("a.jsonl", lines)}));
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->split, "tail");
  EXPECT_EQ(data->validation->tokens, 99);
}

TEST_F(PrepareTest, ValidationFilesAreTakenInsteadOfASplit) {
  PrepareRequest request = Request({Write("a.txt", "train")});
  request.validation = {Write("b.txt", "validation")};
  auto data = PrepareData(request);
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->split, "given");
  EXPECT_EQ(Shard(kTrainShard), std::string("train\0", 6));
  EXPECT_EQ(Shard(kValidationShard), std::string("validation\0", 11));
}

TEST_F(PrepareTest, LargeInputsStreamAndTellProgress) {
  std::string text;
  for (int i = 0; text.size() < 9000000; ++i) text += absl::StrCat("line ", i, "\n");
  PrepareRequest request = Request({Write("a.txt", text), Write("b.txt", "more")});
  std::vector<int64_t> done;
  request.progress = [&](int64_t bytes_done, int64_t bytes_total) {
    EXPECT_EQ(bytes_total, static_cast<int64_t>(text.size()) + 4);
    done.push_back(bytes_done);
  };
  auto data = PrepareData(request);
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_GE(done.size(), 8);
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  EXPECT_EQ(done.back(), static_cast<int64_t>(text.size()) + 4);
  EXPECT_TRUE(Shard(kTrainShard) + Shard(kValidationShard) == text + '\0' + "more" + '\0');
}

TEST_F(PrepareTest, WhatWasPreparedReadsBack) {
  auto data = PrepareData(Request({Write("a.txt", std::string(1000, 'a'))}));
  ASSERT_TRUE(data.ok()) << data.status();
  auto read = ReadPrepared(Path("out"));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->source, Path("a.txt"));
  EXPECT_EQ(read->tokenizer, "bytes");
  EXPECT_EQ(read->vocabulary, 256);
  EXPECT_EQ(read->split, "tail");
  EXPECT_EQ(read->train.tokens, data->train.tokens);
  EXPECT_EQ(read->train.crc32c, data->train.crc32c);
  EXPECT_EQ(read->validation->file_bytes, data->validation->file_bytes);
}

// Some 12 kB of text with few words.
std::string Ships(int lines = 300) {
  std::string text;
  for (int i = 0; i < lines; ++i) absl::StrAppend(&text, "the ship of the line carries ballast ", i, "\n");
  return text;
}

TEST_F(PrepareTest, ALearnedTokenizerLiesWithTheShards) {
  PrepareRequest request = Request({Write("a.txt", Ships())});
  request.tokenizer = "bpe";
  request.vocabulary = 320;
  auto data = PrepareData(request);
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->tokenizer, "bpe");
  EXPECT_EQ(data->vocabulary, 320);
  EXPECT_EQ(data->split, "tail");
  auto read = ReadPrepared(Path("out"));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->tokenizer_fingerprint, data->tokenizer_fingerprint);
  auto tokenizer = ReadPreparedTokenizer(Path("out"), *read);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();

  // Both shards together are the text, and the validation shard's bytes are counted.
  std::string text[2];
  for (int part = 0; part < 2; ++part) {
    const std::string shard = Shard(part == 0 ? kTrainShard : kValidationShard);
    std::vector<uint16_t> stored(shard.size() / 2);
    std::memcpy(stored.data(), shard.data(), shard.size());
    text[part] = (*tokenizer)->Decode(std::vector<int64_t>(stored.begin(), stored.end()));
  }
  EXPECT_TRUE(text[0] + text[1] == Ships());
  EXPECT_EQ(read->validation->text_bytes, static_cast<int64_t>(text[1].size()));
  EXPECT_LT(data->train.tokens * 2, static_cast<int64_t>(text[0].size()));
}

TEST_F(PrepareTest, TheSameTextGivesTheSameTokenizer) {
  PrepareRequest request = Request({Write("a.txt", Ships())});
  request.tokenizer = "bpe";
  request.vocabulary = 320;
  ASSERT_TRUE(PrepareData(request).ok());
  const std::string model = ReadAll(Path("out/tokenizer.model"));
  const std::string shard = Shard(kTrainShard);
  request.replace = true;
  ASSERT_TRUE(PrepareData(request).ok());
  EXPECT_TRUE(ReadAll(Path("out/tokenizer.model")) == model);
  EXPECT_TRUE(Shard(kTrainShard) == shard);
}

TEST_F(PrepareTest, AModelMadeElsewhereIsTakenAsItIs) {
  PrepareRequest request = Request({Write("a.txt", Ships())});
  request.tokenizer = "bpe";
  request.vocabulary = 320;
  ASSERT_TRUE(PrepareData(request).ok());
  std::filesystem::copy(Path("out/tokenizer.model"), Path("mine.model"));
  request.replace = true;
  request.tokenizer = Path("mine.model");
  EXPECT_TRUE(Says(PrepareData(request).status(), {"tokenizer_vocabulary", "320", "mine.model"}));
  request.vocabulary.reset();
  auto data = PrepareData(request);
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->tokenizer, "sentencepiece");
  EXPECT_EQ(data->vocabulary, 320);
  EXPECT_TRUE(ReadAll(Path("out/tokenizer.model")) == ReadAll(Path("mine.model")));
  // Shards of bytes have none.
  request.tokenizer = "bytes";
  ASSERT_TRUE(PrepareData(request).ok());
  EXPECT_FALSE(std::filesystem::exists(Path("out/tokenizer.model")));
  request.tokenizer = Write("junk.model", "junk");
  EXPECT_TRUE(Says(PrepareData(request).status(), {"junk.model", "is not a SentencePiece model"}));
  request.tokenizer = "bep";
  EXPECT_TRUE(Says(PrepareData(request).status(), {"'bep'", "bytes, bpe"}));
}

TEST_F(PrepareTest, AnotherTokenizerBesideTheShardsIsDamage) {
  PrepareRequest request = Request({Write("a.txt", Ships())});
  request.tokenizer = "bpe";
  request.vocabulary = 320;
  auto data = PrepareData(request);
  ASSERT_TRUE(data.ok()) << data.status();
  request.output = Path("other");
  request.vocabulary = 310;
  ASSERT_TRUE(PrepareData(request).ok());
  std::filesystem::copy_file(Path("other/tokenizer.model"), Path("out/tokenizer.model"),
                             std::filesystem::copy_options::overwrite_existing);
  const absl::Status status = ReadPreparedTokenizer(Path("out"), *data).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(Says(status, {"tokenizer.model", "meta.json"}));
  std::filesystem::remove(Path("out/tokenizer.model"));
  EXPECT_EQ(ReadPreparedTokenizer(Path("out"), *data).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(PrepareTest, AVocabularyThatTheTextDoesNotGiveIsRefusedAndLeavesNothing) {
  PrepareRequest request = Request({Write("a.txt", "ab ab ab")});
  request.tokenizer = "bpe";
  request.vocabulary = 5000;
  EXPECT_TRUE(Says(PrepareData(request).status(), {"--vocab-size): 5000", "pieces at most"}));
  EXPECT_FALSE(std::filesystem::exists(Path("out/meta.json")));
  EXPECT_FALSE(std::filesystem::exists(Path("out/tokenizer.model")));
}

TEST_F(PrepareTest, DamagedFoldersAreNotTakenForWhole) {
  EXPECT_EQ(ReadPrepared(Path("out")).status().code(), absl::StatusCode::kNotFound);
  const auto make = [&] {
    PrepareRequest request = Request({Write("a.txt", std::string(1000, 'a'))});
    request.replace = true;
    ASSERT_TRUE(PrepareData(request).ok());
    ASSERT_TRUE(ReadPrepared(Path("out")).ok());
  };
  make();
  std::filesystem::remove(Path("out/train.stow"));
  EXPECT_EQ(ReadPrepared(Path("out")).status().code(), absl::StatusCode::kDataLoss);
  make();
  std::filesystem::copy_file(Path("out/train.stow"), Path("out/validation.stow"),
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_TRUE(Says(ReadPrepared(Path("out")).status(), {"validation.stow", "not the shard"}));
  make();
  Write("out/meta.json", ReadAll(Path("out/meta.json")).substr(0, 100));
  EXPECT_TRUE(Says(ReadPrepared(Path("out")).status(), {"meta.json", "damaged"}));
  make();
  Write("out/meta.json", "{\"version\": 7}");
  EXPECT_TRUE(Says(ReadPrepared(Path("out")).status(), {"version 7"}));
}

TEST_F(PrepareTest, ACompleteFolderIsNotOverwrittenUnasked) {
  PrepareRequest request = Request({Write("a.txt", "some text")});
  ASSERT_TRUE(PrepareData(request).ok());
  EXPECT_EQ(PrepareData(request).status().code(), absl::StatusCode::kAlreadyExists);
  request.replace = true;
  request.validation_fraction = 0;
  ASSERT_TRUE(PrepareData(request).ok());
  EXPECT_FALSE(std::filesystem::exists(Path("out/validation.stow")));
}

TEST_F(PrepareTest, TwoAtOnceAreRefused) {
  std::filesystem::create_directories(Path("out"));
  auto lock = FileLock::Try(Path("out/.lock"));
  ASSERT_TRUE(lock.ok()) << lock.status();
  EXPECT_EQ(PrepareData(Request({Write("a.txt", "text")})).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(PrepareTest, ErrorsNameThePlaceAndLeaveNoShard) {
  EXPECT_TRUE(
      Says(PrepareData(Request({Write("nul.txt", std::string("ab\0c", 4))})).status(), {"nul.txt", "NUL at byte 2"}));
  EXPECT_TRUE(Says(PrepareData(Request({Write("nul.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\\u0000\"}\n")})).status(),
                   {"nul.jsonl:2: ", "NUL"}));
  EXPECT_TRUE(
      Says(PrepareData(Request({Write("bad.jsonl", "{\"text\":\"a\"}\nnonsense\n")})).status(), {"bad.jsonl:2: "}));
  EXPECT_TRUE(
      Says(PrepareData(Request({Write("t.bin", LlmC(20240520, 1, 1) + "ab")})).status(), {"t.bin", "holds tokens"}));
  EXPECT_TRUE(Says(PrepareData(Request({Write("empty.txt", "")})).status(), {"empty.txt", "empty"}));
  EXPECT_FALSE(PrepareData(Request({})).ok());
  PrepareRequest request = Request({Write("a.txt", "text")});
  request.validation_fraction = 1.0;
  EXPECT_TRUE(Says(PrepareData(request).status(), {"validation_fraction"}));
  for (const auto& entry : std::filesystem::directory_iterator(Path("out")))
    EXPECT_EQ(entry.path().filename(), ".lock");
}

TEST_F(PrepareTest, AFullDiskKeepsWhatWasThere) {
  const std::string text(3000000, 'a');
  PrepareRequest request = Request({Write("a.txt", text)});
  ASSERT_TRUE(PrepareData(request).ok());
  request.replace = true;
  {
    ScopedFileLimit limit(1000000);
    EXPECT_EQ(PrepareData(request).status().code(), absl::StatusCode::kResourceExhausted);
  }
  EXPECT_TRUE(ReadPrepared(Path("out")).ok());
  EXPECT_TRUE(Shard(kTrainShard) + Shard(kValidationShard) == text + '\0');
}

TEST_F(PrepareTest, TheKingJamesTextIsTheOneExpected) {
  const absl::Status status = WriteBuiltinSource("kjv", Path("kjv.txt"));
  ASSERT_TRUE(status.ok()) << status;
  const std::string text = ReadAll(Path("kjv.txt"));
  EXPECT_EQ(text.size(), 4404412);
  EXPECT_EQ(text.substr(0, 61), "Ge1:1 In the beginning God created the heaven and the earth.\n");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 31102);
}

TEST_F(PrepareTest, UnknownSourcesAreNamedWithTheNearest) {
  EXPECT_TRUE(Says(WriteBuiltinSource("kvj", Path("x")), {"'kvj'", "did you mean kjv?"}));
  EXPECT_TRUE(Says(WriteBuiltinSource("wikipedia", Path("x")), {"There is: kjv"}));
}

TEST_F(PrepareTest, AMissingProgramNamesItsPackage) {
  const std::string path = getenv("PATH");
  setenv("PATH", folder_.c_str(), 1);
  const absl::Status missing = WriteBuiltinSource("kjv", Path("x"));
  Write("bible", "#!/bin/sh\necho Ge1:1\n");
  std::filesystem::permissions(Path("bible"), std::filesystem::perms::owner_all);
  const absl::Status other = WriteBuiltinSource("kjv", Path("x"));
  Write("bible", "#!/bin/sh\nexit 3\n");
  const absl::Status failed = WriteBuiltinSource("kjv", Path("x"));
  setenv("PATH", path.c_str(), 1);
  EXPECT_EQ(missing.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Says(missing, {"`bible`", "apt-get install bible-kjv"}));
  EXPECT_TRUE(Says(other, {"printed 6 bytes", "expected 4404412"}));
  EXPECT_TRUE(Says(failed, {"exit status 3"}));
}

}  // namespace
}  // namespace stowage
