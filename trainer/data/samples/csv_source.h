// Rows of CSV files (csv_reader.h) as samples: columns of numbers, with numbers or a class to predict.
//
// Held whole, four bytes a number. Tables larger than that allows are better given as safetensors, which is read by
// ranges.
#ifndef STOWAGE_TRAINER_DATA_SAMPLES_CSV_SOURCE_H_
#define STOWAGE_TRAINER_DATA_SAMPLES_CSV_SOURCE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "trainer/data/samples/sample_source.h"

namespace stowage {

// What is predicted: exactly one of the two.
struct CsvColumns {
  std::vector<std::string> targets;  // columns of numbers
  std::string class_column;
};

class CsvSource : public SampleSource {
 public:
  // More distinct values than that are no classes.
  static constexpr int64_t kMostClasses = 1 << 16;

  // Reads all rows of all files, which have the same header. Columns that are not predicted are the inputs, in the
  // header's order, and hold finite numbers. Classes are the distinct values of class_column, numbered from 0 in
  // ascending order: as numbers if all are whole numbers, else as text. `like` (the training set, for a validation
  // set; else null) must have the same header, and its classes are used.
  // InvalidArgument, with file, line, field and what it holds: not a number, no value, a class that `like` has not, a
  // row with another number of fields; no such column (those there are named); no rows.
  static absl::StatusOr<std::unique_ptr<CsvSource>> Open(const std::vector<std::string>& paths,
                                                         const CsvColumns& columns, const CsvSource* like);

  int64_t size() const override { return rows_; }
  const DataShape& shape() const override { return shape_; }  // input [features]
  absl::Status Read(int64_t index, float* input, int64_t* target_class, float* target_numbers) const override;
  std::string fingerprint() const override { return fingerprint_; }
  std::string description() const override { return path_; }

  const std::vector<std::string>& classes() const { return classes_; }  // names by number; empty: numbers to predict

 private:
  enum class Role { kInput, kTarget, kClass };

  CsvSource() = default;
  absl::Status AssignRoles(const CsvColumns& columns);
  absl::Status ReadFile(const std::string& path, const CsvSource* like);
  void NumberClasses();

  std::string path_;
  std::vector<std::string> header_;
  std::vector<Role> roles_;            // of the header's columns
  std::vector<int64_t> target_order_;  // [targets]: header index of each, as data.targets lists them
  DataShape shape_;
  int64_t rows_ = 0;
  std::vector<float> inputs_;   // [rows, features]
  std::vector<float> numbers_;  // [rows, targets]
  std::vector<int32_t> class_of_row_;
  std::vector<std::string> classes_;
  std::string fingerprint_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_SAMPLES_CSV_SOURCE_H_
