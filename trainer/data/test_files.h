// For this folder's tests: files with given bytes, each test's in a folder of its own.
#ifndef STOWAGE_TRAINER_DATA_TEST_FILES_H_
#define STOWAGE_TRAINER_DATA_TEST_FILES_H_

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace stowage {

class DataTest : public testing::Test {
 protected:
  DataTest() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = absl::StrCat(testing::TempDir(), "/", test->test_suite_name(), ".", test->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~DataTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }

  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(Path(name), std::ios::binary) << bytes;
    return Path(name);
  }

  template <typename Number>
  static std::string Bytes(const std::vector<Number>& numbers) {
    return std::string(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(Number));
  }

  static std::string LlmC(int32_t magic, int32_t version, int32_t tokens) {
    std::vector<int32_t> header(256);
    header[0] = magic;
    header[1] = version;
    header[2] = tokens;
    return Bytes(header);
  }

  static std::string ReadAll(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  std::string folder_;
};

// The message has every one of the words.
inline testing::AssertionResult Says(const absl::Status& status, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (std::string(status.message()).find(word) == std::string::npos) {
      return testing::AssertionFailure() << "no \"" << word << "\" in: " << status;
    }
  }
  return testing::AssertionSuccess();
}

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_TEST_FILES_H_
