#include "trainer/data/samples/csv_source.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "trainer/data/samples/csv_reader.h"

namespace stowage {
namespace {

absl::StatusOr<float> ParseNumber(const std::string& text, const CsvReader& reader, int64_t column) {
  double value = 0.0;
  const bool parsed = absl::SimpleAtod(text, &value);
  const float number = static_cast<float>(value);
  if (parsed && std::isfinite(number)) return number;
  return absl::InvalidArgumentError(absl::StrCat(
      reader.Place(column), ": column ", reader.columns()[column], " holds ",
      text.empty() ? "nothing" : absl::StrCat("'", text, "'"), ", which is not a ", parsed ? "finite " : "",
      "number; correct it, take the column out, or name it in data.class_column if it is the class to predict"));
}

}  // namespace

absl::Status CsvSource::AssignRoles(const CsvColumns& columns) {
  const std::string there = absl::StrCat("; ", path_, " has the columns ", absl::StrJoin(header_, ", "));
  if (columns.targets.empty() == columns.class_column.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("data: what is to be predicted from a CSV file is said by ",
                     columns.targets.empty() ? "data.targets (columns of numbers) or data.class_column; give one"
                                             : "data.targets or data.class_column, not by both; keep one",
                     there));
  }
  roles_.assign(header_.size(), Role::kInput);
  const auto assign = [&](const char* key, const std::string& name, Role role) -> absl::Status {
    const auto found = std::find(header_.begin(), header_.end(), name);
    if (found == header_.end()) {
      return absl::InvalidArgumentError(absl::StrCat(key, ": there is no column '", name, "'", there));
    }
    Role& was = roles_[found - header_.begin()];
    if (was != Role::kInput) return absl::InvalidArgumentError(absl::StrCat(key, ": names column ", name, " twice"));
    was = role;
    if (role == Role::kTarget) target_order_.push_back(found - header_.begin());
    return absl::OkStatus();
  };
  for (const std::string& name : columns.targets) {
    STOWAGE_RETURN_IF_ERROR(assign("data.targets", name, Role::kTarget));
  }
  if (!columns.class_column.empty()) {
    STOWAGE_RETURN_IF_ERROR(assign("data.class_column", columns.class_column, Role::kClass));
  }
  const int64_t features = std::count(roles_.begin(), roles_.end(), Role::kInput);
  if (features == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("data: every column is to be predicted, none is left as input", there));
  }
  shape_.input = {features};
  shape_.classes = !columns.class_column.empty();
  shape_.outputs = static_cast<int64_t>(columns.targets.size());
  return absl::OkStatus();
}

absl::Status CsvSource::ReadFile(const std::string& path, const CsvSource* like) {
  STOWAGE_ASSIGN_OR_RETURN(CsvReader reader, CsvReader::Open(path));
  if (reader.columns() != header_) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": has the columns ", absl::StrJoin(reader.columns(), ", "),
                                                   ", but ", like != nullptr ? like->path_ : path_, " has ",
                                                   absl::StrJoin(header_, ", ")));
  }
  std::map<std::string, int32_t> known;
  for (size_t i = 0; i < classes_.size(); ++i) known[classes_[i]] = static_cast<int32_t>(i);
  std::vector<std::string> fields;
  while (true) {
    STOWAGE_ASSIGN_OR_RETURN(const bool any, reader.Next(&fields));
    if (!any) break;
    for (size_t c = 0; c < fields.size(); ++c) {
      const int64_t column = static_cast<int64_t>(c);
      if (roles_[c] == Role::kInput) {
        STOWAGE_ASSIGN_OR_RETURN(const float number, ParseNumber(fields[c], reader, column));
        inputs_.push_back(number);
      }
      if (roles_[c] != Role::kClass) continue;
      const auto refuse = [&](const std::string& why) {
        return absl::InvalidArgumentError(absl::StrCat(reader.Place(column), ": column ", header_[c], " holds ", why));
      };
      if (fields[c].empty()) return refuse("no class");
      const auto [found, added] = known.emplace(fields[c], static_cast<int32_t>(classes_.size()));
      if (added && like != nullptr) {
        return refuse(absl::StrCat("class '", fields[c], "', which the training set does not have; its ",
                                   classes_.size(), " classes begin with ", classes_[0]));
      }
      if (added && static_cast<int64_t>(classes_.size()) == kMostClasses) {
        return refuse(absl::StrCat("more than ", kMostClasses, " distinct values up to '", fields[c],
                                   "'; a number to predict is named by data.targets"));
      }
      if (added) classes_.push_back(fields[c]);
      class_of_row_.push_back(found->second);
    }
    for (int64_t column : target_order_) {
      STOWAGE_ASSIGN_OR_RETURN(const float number, ParseNumber(fields[column], reader, column));
      numbers_.push_back(number);
    }
    ++rows_;
  }
  absl::StrAppend(&fingerprint_, ":", absl::Hex(reader.crc32c(), absl::kZeroPad8));
  return absl::OkStatus();
}

// Until here classes are numbered as they were met.
void CsvSource::NumberClasses() {
  const auto as_number = [](const std::string& text) {
    int64_t number = 0;
    return absl::SimpleAtoi(text, &number) ? number : -1;
  };
  int64_t ignored = 0;
  const bool numbers = std::all_of(classes_.begin(), classes_.end(),
                                   [&](const std::string& name) { return absl::SimpleAtoi(name, &ignored); });
  std::vector<int32_t> order(classes_.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    const int64_t x = numbers ? as_number(classes_[a]) : 0, y = numbers ? as_number(classes_[b]) : 0;
    return x != y ? x < y : classes_[a] < classes_[b];
  });
  std::vector<int32_t> number_of(classes_.size());
  std::vector<std::string> sorted;
  for (size_t i = 0; i < order.size(); ++i) {
    number_of[order[i]] = static_cast<int32_t>(i);
    sorted.push_back(classes_[order[i]]);
  }
  for (int32_t& number : class_of_row_) number = number_of[number];
  classes_ = std::move(sorted);
}

absl::StatusOr<std::unique_ptr<CsvSource>> CsvSource::Open(const std::vector<std::string>& paths,
                                                           const CsvColumns& columns, const CsvSource* like) {
  STOWAGE_CHECK(!paths.empty());
  std::unique_ptr<CsvSource> source(new CsvSource());
  source->path_ = paths[0];
  STOWAGE_ASSIGN_OR_RETURN(const CsvReader first, CsvReader::Open(paths[0]));
  source->header_ = like != nullptr ? like->header_ : first.columns();
  STOWAGE_RETURN_IF_ERROR(source->AssignRoles(columns));
  if (like != nullptr) source->classes_ = like->classes_;
  for (const std::string& path : paths) STOWAGE_RETURN_IF_ERROR(source->ReadFile(path, like));
  if (source->rows_ == 0) {
    return absl::InvalidArgumentError(absl::StrCat(paths[0], ": has a header and no rows"));
  }
  if (like == nullptr) source->NumberClasses();
  if (source->shape_.classes) source->shape_.outputs = static_cast<int64_t>(source->classes_.size());
  // What is predicted is a part of what the data is.
  source->fingerprint_ = absl::StrCat("csv:", source->rows_, "x", source->header_.size(), source->fingerprint_,
                                      ":targets=", absl::StrJoin(columns.targets, ","), columns.class_column);
  return source;
}

absl::Status CsvSource::Read(int64_t index, float* input, int64_t* target_class, float* target_numbers) const {
  STOWAGE_CHECK(index >= 0 && index < rows_) << index << " of " << rows_;
  const int64_t features = shape_.input[0];
  std::copy_n(inputs_.data() + index * features, features, input);
  if (shape_.classes) {
    *target_class = class_of_row_[index];
  } else {
    std::copy_n(numbers_.data() + index * shape_.outputs, shape_.outputs, target_numbers);
  }
  return absl::OkStatus();
}

}  // namespace stowage
