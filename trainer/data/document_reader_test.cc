#include "trainer/data/document_reader.h"

#include "trainer/data/test_files.h"

namespace stowage {
namespace {

class DocumentReaderTest : public DataTest {
 protected:
  // All documents, or the first error.
  absl::StatusOr<std::vector<std::string>> Documents(const std::string& path, DataFormat format,
                                                     int64_t line_bytes = DocumentReader::kLineBytes) {
    auto reader = DocumentReader::Open(path, format, "text", line_bytes);
    if (!reader.ok()) return reader.status();
    std::vector<std::string> documents;
    bool open = false;
    pieces_ = 0;
    while (true) {
      auto piece = reader->Next();
      if (!piece.ok()) return piece.status();
      if (piece->end_of_file) break;
      if (!open) documents.emplace_back();
      documents.back() += piece->text;
      open = !piece->ends_document;
      most_bytes_ = std::max(most_bytes_, piece->text.size());
      ++pieces_;
    }
    EXPECT_FALSE(open);
    return documents;
  }

  int pieces_ = 0;
  size_t most_bytes_ = 0;
};

TEST_F(DocumentReaderTest, TextFilesAreOneDocumentInBoundedPieces) {
  std::string lines;
  for (int i = 0; lines.size() < 3500000; ++i) lines += absl::StrCat("line ", i, "\n");
  std::string umlauts;  // no newline; every cut must fall between two characters
  while (umlauts.size() < 3500000) umlauts += "\xc3\xa4\xe2\x82\xac";
  const std::string one_newline = "first\n" + std::string(3500000, 'x');
  const std::string exact = std::string(DocumentReader::kPieceBytes, 'y');
  for (const std::string& text : {lines, umlauts, one_newline, exact, std::string("short"), std::string("\n")}) {
    auto documents = Documents(Write("a.txt", text), DataFormat::kText);
    ASSERT_TRUE(documents.ok()) << documents.status();
    ASSERT_EQ(documents->size(), 1);
    EXPECT_TRUE((*documents)[0] == text);
    EXPECT_GE(pieces_, static_cast<int>(text.size() / (2 * DocumentReader::kPieceBytes)));
    EXPECT_LE(most_bytes_, 2 * DocumentReader::kPieceBytes);
  }
}

TEST_F(DocumentReaderTest, PiecesEndBetweenCharacters) {
  std::string umlauts = "x";
  while (umlauts.size() < 2500000) umlauts += "\xc3\xa4";
  auto reader = DocumentReader::Open(Write("a.txt", umlauts), DataFormat::kText, "");
  ASSERT_TRUE(reader.ok());
  for (auto piece = reader->Next(); !piece->end_of_file; piece = reader->Next()) {
    EXPECT_NE(static_cast<unsigned char>(piece->text.back()), 0xc3);
  }
}

TEST_F(DocumentReaderTest, JsonlHasADocumentALine) {
  auto documents = Documents(Write("a.jsonl",
                                   "{\"text\": \"one\\ntwo\", \"id\": 1}\n"
                                   "\n"
                                   "{\"id\": 2, \"text\": \"\\u00e4\"}\r\n"
                                   "{\"text\": \"\"}\n"
                                   "{\"text\": \"last, without a newline\"}"),
                             DataFormat::kJsonl);
  ASSERT_TRUE(documents.ok()) << documents.status();
  EXPECT_EQ(*documents, (std::vector<std::string>{"one\ntwo", "\xc3\xa4", "last, without a newline"}));
}

TEST_F(DocumentReaderTest, JsonlLinesMayBeLongerThanABuffer) {
  const std::string large(5000000, 'x');
  auto documents = Documents(Write("a.jsonl", "{\"text\":\"a\"}\n{\"text\":\"" + large + "\"}\n{\"text\":\"b\"}\n"),
                             DataFormat::kJsonl);
  ASSERT_TRUE(documents.ok()) << documents.status();
  ASSERT_EQ(documents->size(), 3);
  EXPECT_TRUE((*documents)[1] == large);
  EXPECT_EQ((*documents)[2], "b");
}

TEST_F(DocumentReaderTest, BadLinesAreNamedByFileAndLine) {
  const struct {
    const char* line;
    std::vector<std::string> words;
  } cases[] = {
      {"{\"text\": \"cut", {"bad.jsonl:3: ", "not JSON"}},
      {"[1, 2]", {"bad.jsonl:3: ", "not an object", "array"}},
      {"{\"txt\": \"x\", \"id\": 3}", {"bad.jsonl:3: ", "no field 'text'", "id, txt"}},
      {"{\"text\": 7}", {"bad.jsonl:3: ", "not a text", "number"}},
      {"{\"text\": \"\xff\"}", {"bad.jsonl:3: ", "not JSON"}},
  };
  for (const auto& c : cases) {
    const std::string path = Write("bad.jsonl", absl::StrCat("{\"text\": \"fine\"}\n\n", c.line, "\n"));
    const absl::Status status = Documents(path, DataFormat::kJsonl).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(Says(status, c.words));
  }
}

TEST_F(DocumentReaderTest, ALineTooLongForMemoryIsRefused) {
  const std::string path = Write("a.jsonl", "{\"text\":\"a\"}\n{\"text\":\"" + std::string(4000000, 'x') + "\"}\n");
  EXPECT_TRUE(Says(Documents(path, DataFormat::kJsonl, 2000000).status(), {"a.jsonl:2: ", "longer than 2000000"}));
}

TEST_F(DocumentReaderTest, EmptyAndMissingFilesAreNamed) {
  EXPECT_TRUE(Says(Documents(Write("a.txt", ""), DataFormat::kText).status(), {"a.txt", "is empty"}));
  EXPECT_EQ(Documents(Path("none.txt"), DataFormat::kText).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(DocumentReaderTest, DocumentsAreCountedAsFarAsNeeded) {
  const std::string three = Write("a.jsonl", "{}\n  \n{}\n{}");
  const std::string text = Write("b.txt", "x\ny\n");
  using Files = std::vector<std::pair<std::string, DataFormat>>;
  const Files files = {{three, DataFormat::kJsonl}, {text, DataFormat::kText}};
  EXPECT_TRUE(*HasDocuments(files, 4));
  EXPECT_FALSE(*HasDocuments(files, 5));
}

}  // namespace
}  // namespace stowage
