#include "trainer/data/token_file.h"

#include <numeric>

#include "base/scoped_file_limit.h"
#include "trainer/data/test_files.h"
#include "trainer/data/token_sequence.h"
#include "trainer/data/token_shard_writer.h"

namespace stowage {
namespace {

class TokenFileTest : public DataTest {
 protected:
  std::string Shard(const std::string& name, int64_t vocabulary, const std::vector<int64_t>& tokens) const {
    auto writer = TokenShardWriter::Create(Path(name), vocabulary);
    EXPECT_TRUE(writer.ok()) << writer.status();
    EXPECT_TRUE(writer->Append(tokens).ok());
    EXPECT_TRUE(writer->Finish().ok());
    EXPECT_TRUE(writer->Publish().ok());
    return Path(name);
  }

  static std::vector<int64_t> ReadTokens(const TokenFile& file) {
    std::vector<int64_t> tokens(file.tokens());
    EXPECT_TRUE(file.Read(0, file.tokens(), tokens.data()).ok());
    return tokens;
  }

  static absl::Status OpenStatus(const std::string& path, DataFormat format, int64_t vocabulary = 0) {
    return TokenFile::Open(path, format, vocabulary).status();
  }
};

TEST_F(TokenFileTest, ShardsRoundTripAtEveryWidth) {
  const std::vector<int64_t> tokens = {0, 1, 255, 7};
  for (auto [vocabulary, width] : {std::pair<int64_t, int64_t>{256, 1}, {257, 2}, {65536, 2}, {65537, 4}}) {
    const std::string path = Shard("a.stow", vocabulary, tokens);
    EXPECT_EQ(std::filesystem::file_size(path), 64 + 4 * width);
    auto file = TokenFile::Open(path, DataFormat::kStowage, 0);
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ((*file)->vocabulary(), vocabulary);
    EXPECT_EQ(ReadTokens(**file), tokens);
  }
  const std::vector<int64_t> large = {65536, 4000000000, 3};
  auto file = TokenFile::Open(Shard("b.stow", int64_t{1} << 32, large), DataFormat::kStowage, 0);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(ReadTokens(**file), large);
}

TEST_F(TokenFileTest, ReadsAnyRangeOfALongFile) {
  std::vector<int64_t> tokens(100000);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = i * 31 % 5000;
  auto file = TokenFile::Open(Shard("a.stow", 5000, tokens), DataFormat::kStowage, 0);
  ASSERT_TRUE(file.ok()) << file.status();
  for (auto [first, count] : {std::pair<int64_t, int64_t>{0, 100000}, {17, 9000}, {99999, 1}, {5, 0}, {8191, 8193}}) {
    std::vector<int64_t> got(count);
    ASSERT_TRUE((*file)->Read(first, count, got.data()).ok());
    EXPECT_EQ(got, std::vector<int64_t>(tokens.begin() + first, tokens.begin() + first + count));
  }
}

TEST_F(TokenFileTest, ReadsBothOfLlmCsFormats) {
  auto gpt2 =
      TokenFile::Open(Write("a.bin", LlmC(20240520, 1, 3) + Bytes<uint16_t>({1, 50256, 2})), DataFormat::kLlmC, 0);
  ASSERT_TRUE(gpt2.ok()) << gpt2.status();
  EXPECT_EQ(ReadTokens(**gpt2), (std::vector<int64_t>{1, 50256, 2}));
  EXPECT_EQ((*gpt2)->vocabulary(), 50257);
  auto llama =
      TokenFile::Open(Write("b.bin", LlmC(20240801, 7, 2) + Bytes<uint32_t>({128000, 5})), DataFormat::kLlmC, 0);
  ASSERT_TRUE(llama.ok()) << llama.status();
  EXPECT_EQ(ReadTokens(**llama), (std::vector<int64_t>{128000, 5}));
  EXPECT_EQ((*llama)->vocabulary(), 128256);
}

TEST_F(TokenFileTest, ReadsNanoGptsAndDoesNotGuessAVocabulary) {
  auto file = TokenFile::Open(Write("a.bin", Bytes<uint16_t>({7, 65535})), DataFormat::kNanoGpt, 0);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(ReadTokens(**file), (std::vector<int64_t>{7, 65535}));
  EXPECT_EQ((*file)->vocabulary(), 0);
}

TEST_F(TokenFileTest, RefusesAnEmptyFile) {
  for (DataFormat format : {DataFormat::kStowage, DataFormat::kLlmC, DataFormat::kNanoGpt}) {
    const absl::Status status = OpenStatus(Write("empty.bin", ""), format);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_TRUE(Says(status, {"empty.bin", "is empty"}));
  }
}

TEST_F(TokenFileTest, RefusesAHeaderWithoutTokens) {
  EXPECT_TRUE(Says(OpenStatus(Shard("a.stow", 256, {}), DataFormat::kStowage), {"no tokens"}));
  EXPECT_TRUE(Says(OpenStatus(Write("b.bin", LlmC(20240520, 1, 0)), DataFormat::kLlmC), {"no tokens"}));
}

TEST_F(TokenFileTest, RefusesAShardCutShortAtAnyPlace) {
  const std::string whole = ReadAll(Shard("a.stow", 300, {1, 2, 3, 4, 5}));
  for (size_t bytes = 1; bytes < whole.size(); ++bytes) {
    const absl::Status status = OpenStatus(Write("cut.stow", whole.substr(0, bytes)), DataFormat::kStowage);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << bytes << ": " << status;
    EXPECT_TRUE(Says(status, {"cut.stow", "cut short"}));
  }
  EXPECT_TRUE(Says(OpenStatus(Write("long.stow", whole + "x"), DataFormat::kStowage), {"longer than its header says"}));
}

TEST_F(TokenFileTest, RefusesAnLlmCFileCutShortOrTooLong) {
  const std::string header = LlmC(20240520, 1, 3);
  EXPECT_TRUE(Says(OpenStatus(Write("a.bin", header + Bytes<uint16_t>({1, 2})), DataFormat::kLlmC),
                   {"cut short", "says 3 tokens", "2 tokens"}));
  EXPECT_TRUE(Says(OpenStatus(Write("b.bin", header + Bytes<uint16_t>({1, 2, 3, 4})), DataFormat::kLlmC),
                   {"longer than its header says"}));
  EXPECT_TRUE(Says(OpenStatus(Write("c.bin", header.substr(0, 100)), DataFormat::kLlmC), {"cut short"}));
  EXPECT_TRUE(Says(OpenStatus(Write("d.bin", LlmC(20240520, 1, -1) + "ab"), DataFormat::kLlmC), {"-1 tokens"}));
}

TEST_F(TokenFileTest, RefusesAnOddLength) {
  const absl::Status status = OpenStatus(Write("a.bin", "abcde"), DataFormat::kNanoGpt);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(Says(status, {"a.bin", "odd length, 5 bytes"}));
  EXPECT_FALSE(OpenStatus(Write("b.bin", LlmC(20240520, 1, 1) + "abc"), DataFormat::kLlmC).ok());
}

TEST_F(TokenFileTest, RefusesAFlippedByteAnywhere) {
  const std::string whole = ReadAll(Shard("a.stow", 300, {1, 2, 3, 4, 5}));
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string bytes = whole;
    bytes[at] ^= 4;
    EXPECT_FALSE(OpenStatus(Write("flipped.stow", bytes), DataFormat::kStowage).ok()) << "byte " << at;
  }
  std::string bytes = whole;
  bytes[66] ^= 1;
  const absl::Status status = OpenStatus(Write("flipped.stow", bytes), DataFormat::kStowage);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(Says(status, {"flipped.stow", "is damaged"}));
}

TEST_F(TokenFileTest, WrongMagicNamesTheFormats) {
  for (DataFormat format : {DataFormat::kStowage, DataFormat::kLlmC}) {
    const absl::Status status = OpenStatus(Write("a.bin", std::string(2000, 'x')), format);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(Says(status, {"a.bin", "stowage", "llmc", "nanogpt"}));
  }
}

TEST_F(TokenFileTest, NewerVersionsAreNamed) {
  std::string bytes = ReadAll(Shard("a.stow", 256, {1}));
  bytes[8] = 2;
  const absl::Status status = OpenStatus(Write("b.stow", bytes), DataFormat::kStowage);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Says(status, {"version 2", "up to 1"}));
  EXPECT_TRUE(Says(OpenStatus(Write("c.bin", LlmC(20240520, 9, 1) + "ab"), DataFormat::kLlmC), {"version 9"}));
}

TEST_F(TokenFileTest, HeadersAreNotReadAsNanoGptTokens) {
  EXPECT_TRUE(Says(OpenStatus(Write("a.bin", LlmC(20240520, 1, 1) + "ab"), DataFormat::kNanoGpt), {"llm.c's header"}));
  EXPECT_TRUE(Says(OpenStatus(Shard("a.stow", 300, {1}), DataFormat::kNanoGpt), {"Stowage shard's header"}));
}

TEST_F(TokenFileTest, TokenBeyondTheVocabularyIsNamedWithItsPosition) {
  const std::string nano = Write("nano.bin", Bytes<uint16_t>({1, 2, 300, 4}));
  EXPECT_TRUE(OpenStatus(nano, DataFormat::kNanoGpt, 301).ok());
  const absl::Status status = OpenStatus(nano, DataFormat::kNanoGpt, 300);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(Says(status, {"nano.bin", "token 300 at position 2", "vocabulary, 300"}));
  // llm.c's own vocabulary holds where none is given; a shard's where a larger one is.
  EXPECT_TRUE(Says(OpenStatus(Write("llmc.bin", LlmC(20240520, 1, 1) + Bytes<uint16_t>({50257})), DataFormat::kLlmC),
                   {"token 50257 at position 0"}));
  EXPECT_TRUE(
      Says(OpenStatus(Shard("a.stow", 256, {'a', 200}), DataFormat::kStowage, 128), {"token 200 at position 1"}));
  EXPECT_TRUE(OpenStatus(Path("a.stow"), DataFormat::kStowage, 1000).ok());
}

TEST_F(TokenFileTest, FilesTooLargeToCheckAtOpenAreCheckedAtEachRead) {
  std::vector<uint16_t> tokens(2000000, 5);  // more than the first and the last MiB
  tokens[1000000] = 99;
  const std::string path = Write("a.bin", Bytes(tokens));
  auto file = TokenFile::Open(path, DataFormat::kNanoGpt, 10, /*checked_bytes=*/100);
  ASSERT_TRUE(file.ok()) << file.status();
  std::vector<int64_t> to(100);
  EXPECT_TRUE((*file)->Read(0, 100, to.data()).ok());
  const absl::Status status = (*file)->Read(999990, 100, to.data());
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(Says(status, {"token 99 at position 1000000"}));
  EXPECT_TRUE(Says((*file)->Verify(), {"token 99 at position 1000000"}));
}

TEST_F(TokenFileTest, VerifyFindsDamageInAFileTooLargeToCheckAtOpen) {
  std::string bytes = ReadAll(Shard("a.stow", 256, {1, 2, 3}));
  bytes.back() ^= 1;
  auto file = TokenFile::Open(Write("b.stow", bytes), DataFormat::kStowage, 0, /*checked_bytes=*/10);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->Verify().code(), absl::StatusCode::kDataLoss);
}

TEST_F(TokenFileTest, AFileCutWhileOpenIsDataLoss) {
  auto file = TokenFile::Open(Write("a.bin", Bytes<uint16_t>({1, 2, 3, 4})), DataFormat::kNanoGpt, 0);
  ASSERT_TRUE(file.ok());
  std::filesystem::resize_file(Path("a.bin"), 4);
  int64_t to[4];
  const absl::Status status = (*file)->Read(0, 4, to);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(Says(status, {"a.bin", "ends at byte 4"}));
}

TEST_F(TokenFileTest, MissingFilesAndFoldersAreNamed) {
  EXPECT_EQ(OpenStatus(Path("none.bin"), DataFormat::kNanoGpt).code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(Says(OpenStatus(Path("none.bin"), DataFormat::kNanoGpt), {"none.bin"}));
  EXPECT_TRUE(Says(OpenStatus(folder_, DataFormat::kNanoGpt), {folder_, "directory"}));
}

TEST_F(TokenFileTest, FingerprintsTellContentsApartAndNotPlaces) {
  const auto fingerprint = [&](const std::string& path, DataFormat format) {
    auto file = TokenFile::Open(path, format, 0);
    EXPECT_TRUE(file.ok()) << file.status();
    return (*file)->fingerprint();
  };
  const auto a = fingerprint(Shard("a.stow", 256, {1, 2, 3}), DataFormat::kStowage);
  EXPECT_EQ(a, fingerprint(Shard("b.stow", 256, {1, 2, 3}), DataFormat::kStowage));
  EXPECT_NE(a, fingerprint(Shard("c.stow", 256, {1, 2, 4}), DataFormat::kStowage));
  EXPECT_NE(fingerprint(Write("d.bin", "abcd"), DataFormat::kNanoGpt),
            fingerprint(Write("e.bin", "abce"), DataFormat::kNanoGpt));
}

TEST_F(TokenFileTest, AutoFindsTheFormat) {
  const auto find = [](const std::string& path) { return FindDataFormat(path, "auto"); };
  EXPECT_EQ(*find(Shard("a.anything", 256, {1})), DataFormat::kStowage);
  EXPECT_EQ(*find(Write("b.bin", LlmC(20240520, 1, 1) + "ab")), DataFormat::kLlmC);
  EXPECT_EQ(*find(Write("c.jsonl", "{}\n")), DataFormat::kJsonl);
  EXPECT_EQ(*find(Write("d.md", "text")), DataFormat::kText);
  EXPECT_TRUE(Says(find(Write("e.bin", "abcdefgh")).status(), {"e.bin", "data.format: nanogpt"}));
  EXPECT_TRUE(Says(find(Write("f.bin", "")).status(), {"f.bin", "empty"}));
  EXPECT_EQ(find(Write("g.stow", "STOW")).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(Says(FindDataFormat(Path("d.md"), "parquet").status(), {"'parquet'", "jsonl"}));
}

TEST_F(TokenFileTest, SequencesReadAcrossFiles) {
  std::vector<std::unique_ptr<TokenFile>> files;
  for (auto path : {Shard("a.stow", 256, {1, 2, 3}), Shard("b.stow", 300, {4}), Shard("c.stow", 256, {5, 6})}) {
    auto file = TokenFile::Open(path, DataFormat::kStowage, 0);
    ASSERT_TRUE(file.ok()) << file.status();
    files.push_back(*std::move(file));
  }
  const TokenSequence sequence(std::move(files));
  EXPECT_EQ(sequence.tokens(), 6);
  EXPECT_EQ(sequence.vocabulary(), 300);
  for (int64_t first = 0; first < 6; ++first) {
    for (int64_t count = 0; first + count <= 6; ++count) {
      std::vector<int64_t> got(count), expected(count);
      std::iota(expected.begin(), expected.end(), first + 1);
      ASSERT_TRUE(sequence.Read(first, count, got.data()).ok());
      EXPECT_EQ(got, expected);
    }
  }
}

TEST_F(TokenFileTest, WriterLeavesNothingBehindUnlessPublished) {
  {
    auto writer = TokenShardWriter::Create(Path("a.stow"), 256);
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(writer->Append({1, 2, 3}).ok());
    ASSERT_TRUE(writer->Finish().ok());
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(TokenFileTest, WriterMovesItsTail) {
  std::vector<int64_t> tokens(3000000);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = i % 251;
  auto head = TokenShardWriter::Create(Path("head.stow"), 256);
  auto tail = TokenShardWriter::Create(Path("tail.stow"), 256);
  ASSERT_TRUE(head->Append(tokens).ok());
  ASSERT_TRUE(head->MoveTail(1234567, *tail).ok());
  for (auto* writer : {&*head, &*tail}) {
    ASSERT_TRUE(writer->Finish().ok());
    ASSERT_TRUE(writer->Publish().ok());
  }
  auto head_file = TokenFile::Open(Path("head.stow"), DataFormat::kStowage, 0);
  auto tail_file = TokenFile::Open(Path("tail.stow"), DataFormat::kStowage, 0);
  ASSERT_TRUE(head_file.ok()) << head_file.status();
  ASSERT_TRUE(tail_file.ok()) << tail_file.status();
  std::vector<int64_t> joined = ReadTokens(**head_file), rest = ReadTokens(**tail_file);
  EXPECT_EQ(rest.size(), 1234567);
  joined.insert(joined.end(), rest.begin(), rest.end());
  EXPECT_EQ(joined, tokens);
}

TEST_F(TokenFileTest, AFullDiskIsSaidAndLeavesNothing) {
  {
    ScopedFileLimit limit(100000);
    auto writer = TokenShardWriter::Create(Path("a.stow"), 256);
    ASSERT_TRUE(writer.ok()) << writer.status();
    absl::Status status = writer->Append(std::vector<int64_t>(3000000, 1));
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

}  // namespace
}  // namespace stowage
