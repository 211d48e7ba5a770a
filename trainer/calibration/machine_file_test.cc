#include "trainer/calibration/machine_file.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gtest/gtest.h"
#include "trainer/calibration/test_machine.h"

namespace stowage {
namespace {

using testing::TempDir;

// Refused as DataLoss, with the file's name, what is wrong, and what to do.
void ExpectRefused(const std::string& text, const std::string& why) {
  const absl::Status status = ParseMachineFile(text, "/x/machine.json").status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  const std::string message(status.message());
  EXPECT_NE(message.find("/x/machine.json"), std::string::npos) << message;
  EXPECT_NE(message.find(why), std::string::npos) << message;
  EXPECT_NE(message.find("stowage calibrate"), std::string::npos) << message;
}

TEST(MachineFileTest, WhatIsWrittenIsRead) {
  const std::string path = absl::StrCat(TempDir(), "/new/folder/machine.json");
  ASSERT_TRUE(WriteMachineFile(path, MadeUpMachine()).ok());
  const absl::StatusOr<MachineFile> read = ReadMachineFile(path);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(Differences(read->machine, MadeUpMachine().machine).empty());
  EXPECT_EQ(read->date, "2026-01-02");
  ASSERT_EQ(read->cases.size(), 4u);
  EXPECT_EQ(read->cases[1].precision, "bf16");
  EXPECT_TRUE(read->cases[2].recurrent);
  EXPECT_EQ(read->cases[3].ranks, 2);
  EXPECT_EQ(read->cases[0].product_bytes, kTestMiB);
  EXPECT_EQ(read->cases[0].bytes, MadeUpMachine().cases[0].bytes);
}

TEST(MachineFileTest, CutShortAnywhereIsRefused) {
  const std::string text = MachineFileText(MadeUpMachine());
  for (size_t length = 0; length + 2 < text.size(); length += 7) {
    EXPECT_TRUE(absl::IsDataLoss(ParseMachineFile(text.substr(0, length), "x").status())) << length;
  }
  ExpectRefused(text.substr(0, text.size() / 2), "cut short");
}

TEST(MachineFileTest, AnAlteredNumberIsRefused) {
  std::string text = MachineFileText(MadeUpMachine());
  const std::string number = absl::StrCat(80 * kTestMiB);
  const size_t at = text.find(number);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 1, "7");
  ExpectRefused(text, "altered");
}

TEST(MachineFileTest, WithoutItsChecksumItIsRefused) {
  std::string text = MachineFileText(MadeUpMachine());
  const size_t at = text.find("crc32c");
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 6, "crc32d");
  ExpectRefused(text, "altered");
}

TEST(MachineFileTest, OtherJsonAndOtherVersionsAreRefused) {
  ExpectRefused("{\"steps\": 3}", "not what stowage calibrate writes");
  ExpectRefused("[1, 2]", "not what stowage calibrate writes");
  ExpectRefused("{\"stowage_machine\": 2}", "version 2");
  MachineFile empty = MadeUpMachine();
  empty.cases.clear();
  ExpectRefused(MachineFileText(empty), "no measurement");
}

TEST(MachineFileTest, AMissingFileIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(ReadMachineFile(absl::StrCat(TempDir(), "/none.json")).status()));
}

TEST(MachineIdentityTest, EachPartTellsMachinesApart) {
  const MachineIdentity one = MadeUpMachine().machine;
  MachineIdentity two = one;
  EXPECT_TRUE(Differences(one, two).empty());
  two.cores = 64;
  two.libtorch = "2.12.0";
  const std::vector<std::string> differences = Differences(two, one);
  ASSERT_EQ(differences.size(), 2u);
  EXPECT_EQ(differences[0], "cores 64 and not 4");
  EXPECT_EQ(differences[1], "LibTorch 2.12.0 and not 2.11.0");
}

TEST(MachineIdentityTest, ThisMachineIsItselfTwice) {
  EXPECT_TRUE(Differences(ThisMachine(), ThisMachine()).empty());
  EXPECT_GE(ThisMachine().cores, 1);
  EXPECT_FALSE(ThisMachine().mpi.empty());
}

}  // namespace
}  // namespace stowage
