#include "trainer/data/samples/csv_reader.h"
#include "trainer/data/samples/csv_source.h"
#include "trainer/data/samples/samples_test_files.h"

namespace stowage {
namespace {

using CsvTest = SamplesTest;

constexpr char kTable[] = "length,width,price,kind\n1,2.5,10,round\n-3e1, 4 ,20,flat\n0,.5,30,round\n";

TEST_F(CsvTest, ColumnsThatAreNotPredictedAreInputs) {
  Write("a.csv", "length,price,width\n1,10,2.5\n-3e1,20,4\n");
  auto source = CsvSource::Open({Path("a.csv")}, {{"price"}, ""}, nullptr);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ((*source)->size(), 2);
  EXPECT_EQ((*source)->shape().input, (std::vector<int64_t>{2}));
  EXPECT_FALSE((*source)->shape().classes);
  EXPECT_EQ((*source)->shape().outputs, 1);
  float input[2], number = 0;
  ASSERT_TRUE((*source)->Read(1, input, nullptr, &number).ok());
  EXPECT_EQ(input[0], -30.0f);
  EXPECT_EQ(input[1], 4.0f);
  EXPECT_EQ(number, 20.0f);
}

TEST_F(CsvTest, TargetsComeInTheOrderOfTheConfig) {
  Write("a.csv", "a,b,c\n1,2,3\n");
  auto source = CsvSource::Open({Path("a.csv")}, {{"c", "a"}, ""}, nullptr);
  ASSERT_TRUE(source.ok()) << source.status();
  float input = 0, numbers[2];
  ASSERT_TRUE((*source)->Read(0, &input, nullptr, numbers).ok());
  EXPECT_EQ(input, 2.0f);
  EXPECT_EQ(numbers[0], 3.0f);
  EXPECT_EQ(numbers[1], 1.0f);
}

TEST_F(CsvTest, ClassesAreTheDistinctValuesInOrder) {
  Write("a.csv", kTable);
  auto source = CsvSource::Open({Path("a.csv")}, {{}, "kind"}, nullptr);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ((*source)->classes(), (std::vector<std::string>{"flat", "round"}));
  EXPECT_EQ((*source)->shape().outputs, 2);
  float input[3];
  int64_t target = -1;
  ASSERT_TRUE((*source)->Read(0, input, &target, nullptr).ok());
  EXPECT_EQ(target, 1);
  Write("b.csv", "x,digit\n0,10\n0,9\n0,10\n0,2\n");
  source = CsvSource::Open({Path("b.csv")}, {{}, "digit"}, nullptr);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ((*source)->classes(), (std::vector<std::string>{"2", "9", "10"}));  // as numbers, not as text
}

TEST_F(CsvTest, ValidationHasTheClassesOfTraining) {
  Write("a.csv", kTable);
  auto train = CsvSource::Open({Path("a.csv")}, {{}, "kind"}, nullptr);
  ASSERT_TRUE(train.ok()) << train.status();
  Write("b.csv", "length,width,price,kind\n1,2,3,round\n");
  auto validation = CsvSource::Open({Path("b.csv")}, {{}, "kind"}, train->get());
  ASSERT_TRUE(validation.ok()) << validation.status();
  EXPECT_EQ((*validation)->shape().outputs, 2);
  Write("b.csv", "length,width,price,kind\n1,2,3,square\n");
  EXPECT_TRUE(Says(CsvSource::Open({Path("b.csv")}, {{}, "kind"}, train->get()).status(),
                   {"b.csv:2:4: column kind", "'square'", "training set"}));
  Write("b.csv", "length,width,kind\n1,2,round\n");
  EXPECT_TRUE(Says(CsvSource::Open({Path("b.csv")}, {{}, "kind"}, train->get()).status(),
                   {"b.csv: has the columns length, width, kind", "a.csv"}));
}

TEST_F(CsvTest, TextInANumberColumnIsNamedWithItsPlace) {
  Write("a.csv", "a,b\n1,2\n\n3,n/a\n");
  const absl::Status status = CsvSource::Open({Path("a.csv")}, {{"a"}, ""}, nullptr).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(Says(status, {"a.csv:4:2: column b holds 'n/a', which is not a number"}));
  Write("a.csv", "a,b\n1,\n");
  EXPECT_TRUE(
      Says(CsvSource::Open({Path("a.csv")}, {{"a"}, ""}, nullptr).status(), {"a.csv:2:2: column b holds nothing"}));
  for (const char* value : {"nan", "inf", "1e99"}) {
    Write("a.csv", absl::StrCat("a,b\n", value, ",1\n"));
    EXPECT_TRUE(Says(CsvSource::Open({Path("a.csv")}, {{"a"}, ""}, nullptr).status(), {"a.csv:2:1", value, "finite"}));
  }
}

TEST_F(CsvTest, RaggedLinesAreShown) {
  Write("a.csv", "a,b\n1,2\n1,2,3\n");
  EXPECT_TRUE(Says(CsvSource::Open({Path("a.csv")}, {{"a"}, ""}, nullptr).status(),
                   {"a.csv:3: has 3 fields", "2 columns", "'1,2,3'"}));
  Write("a.csv", "a,b\n1\n");
  EXPECT_TRUE(Says(CsvSource::Open({Path("a.csv")}, {{"a"}, ""}, nullptr).status(), {"a.csv:2: has 1 fields"}));
}

TEST_F(CsvTest, ColumnsThatAreNotThereAreToldWithThoseThatAre) {
  Write("a.csv", kTable);
  const auto open = [&](const CsvColumns& columns) {
    return CsvSource::Open({Path("a.csv")}, columns, nullptr).status();
  };
  EXPECT_TRUE(Says(open({{"prize"}, ""}), {"data.targets: there is no column 'prize'", "length, width, price, kind"}));
  EXPECT_TRUE(Says(open({{}, "sort"}), {"data.class_column: there is no column 'sort'"}));
  EXPECT_TRUE(Says(open({{}, ""}), {"data.targets", "data.class_column", "length, width, price, kind"}));
  EXPECT_TRUE(Says(open({{"price"}, "kind"}), {"not by both"}));
  EXPECT_TRUE(Says(open({{"price", "price"}, ""}), {"price twice"}));
  EXPECT_TRUE(Says(open({{"price"}, ""}), {"a.csv:2:4", "'round'", "data.class_column"}));
}

TEST_F(CsvTest, HeadersThatAreNoneAreTold) {
  Write("a.csv", "");
  EXPECT_TRUE(Says(CsvReader::Open(Path("a.csv")).status(), {"is empty"}));
  Write("a.csv", "1,2\n3,4\n");
  EXPECT_TRUE(Says(CsvReader::Open(Path("a.csv")).status(), {"a.csv:1", "'1,2'", "header line"}));
  Write("a.csv", "a,b,a\n");
  EXPECT_TRUE(Says(CsvReader::Open(Path("a.csv")).status(), {"a.csv:1:3: column a is there twice"}));
  Write("a.csv", "a,,b\n");
  EXPECT_TRUE(Says(CsvReader::Open(Path("a.csv")).status(), {"a.csv:1:2: a column without a name"}));
  Write("a.csv", "a,b\n");
  EXPECT_TRUE(Says(CsvSource::Open({Path("a.csv")}, {{"a"}, ""}, nullptr).status(), {"a header and no rows"}));
}

TEST_F(CsvTest, QuotesByteOrderMarksAndCarriageReturnsAreUnderstood) {
  Write("a.csv", "\xef\xbb\xbf\"a, or b\",c\r\n \"1\" ,\"say \"\"x\"\"\"\r\n2,y");
  auto reader = CsvReader::Open(Path("a.csv"));
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ(reader->columns(), (std::vector<std::string>{"a, or b", "c"}));
  std::vector<std::string> fields;
  ASSERT_TRUE(*reader->Next(&fields));
  EXPECT_EQ(fields, (std::vector<std::string>{"1", "say \"x\""}));
  ASSERT_TRUE(*reader->Next(&fields));
  EXPECT_EQ(fields, (std::vector<std::string>{"2", "y"}));
  EXPECT_FALSE(*reader->Next(&fields));
  Write("a.csv", "a,b\n1,\"2\n");
  reader = CsvReader::Open(Path("a.csv"));
  EXPECT_TRUE(Says(reader->Next(&fields).status(), {"a.csv:2:2", "not closed"}));
  Write("a.csv", "a,b\n\"1\"x,2\n");
  reader = CsvReader::Open(Path("a.csv"));
  EXPECT_TRUE(Says(reader->Next(&fields).status(), {"a.csv:2:1", "after a closing quote", "'x'"}));
}

TEST_F(CsvTest, FilesLargerThanTheBufferReadWhole) {
  std::string text = "a,b\n";
  for (int i = 0; i < 300000; ++i) absl::StrAppend(&text, i, ",", i % 7, "\n");
  auto source = CsvSource::Open({Write("a.csv", text)}, {{}, "b"}, nullptr);
  ASSERT_TRUE(source.ok()) << source.status();
  ASSERT_EQ((*source)->size(), 300000);
  float input = 0;
  int64_t target = 0;
  for (int64_t i = 0; i < 300000; i += 997) {
    ASSERT_TRUE((*source)->Read(i, &input, &target, nullptr).ok());
    EXPECT_EQ(input, static_cast<float>(i));
    EXPECT_EQ(target, i % 7);
  }
}

TEST_F(CsvTest, SeveralFilesFollowEachOther) {
  auto source = CsvSource::Open({Write("a.csv", "x,y\n1,2\n"), Write("b.csv", "x,y\n3,4\n")}, {{"y"}, ""}, nullptr);
  ASSERT_TRUE(source.ok()) << source.status();
  float input = 0, number = 0;
  ASSERT_TRUE((*source)->Read(1, &input, nullptr, &number).ok());
  EXPECT_EQ(input, 3.0f);
  EXPECT_EQ(number, 4.0f);
  EXPECT_TRUE(Says(CsvSource::Open({Path("a.csv"), Write("c.csv", "x,z\n3,4\n")}, {{"y"}, ""}, nullptr).status(),
                   {"c.csv: has the columns x, z", "a.csv"}));
}

TEST_F(CsvTest, TheFingerprintIsOfTheRowsAndOfWhatIsPredicted) {
  const auto fingerprint = [&](const std::string& text, const CsvColumns& columns) {
    return (*CsvSource::Open({Write("a.csv", text)}, columns, nullptr))->fingerprint();
  };
  const std::string a = fingerprint("x,y\n1,2\n", {{"y"}, ""});
  EXPECT_EQ(fingerprint("x,y\n1,2\n", {{"y"}, ""}), a);
  EXPECT_NE(fingerprint("x,y\n1,3\n", {{"y"}, ""}), a);
  EXPECT_NE(fingerprint("x,y\n1,2\n", {{"x"}, ""}), a);
}

}  // namespace
}  // namespace stowage
