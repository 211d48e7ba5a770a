#include "trainer/data/token_sequence.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace stowage {

TokenSequence::TokenSequence(std::vector<std::unique_ptr<TokenFile>> files) : files_(std::move(files)), starts_{0} {
  STOWAGE_CHECK(!files_.empty()) << "no files";
  for (const auto& file : files_) starts_.push_back(starts_.back() + file->tokens());
}

int64_t TokenSequence::vocabulary() const {
  int64_t most = 0;
  for (const auto& file : files_) {
    if (file->vocabulary() == 0) return 0;
    most = std::max(most, file->vocabulary());
  }
  return most;
}

absl::Status TokenSequence::Read(int64_t first, int64_t count, int64_t* to) const {
  STOWAGE_CHECK(first >= 0 && count >= 0 && first + count <= tokens()) << first << " + " << count;
  size_t i = std::upper_bound(starts_.begin(), starts_.end(), first) - starts_.begin() - 1;
  while (count > 0) {
    const int64_t n = std::min(count, starts_[i + 1] - first);
    STOWAGE_RETURN_IF_ERROR(files_[i]->Read(first - starts_[i], n, to));
    first += n;
    to += n;
    count -= n;
    ++i;
  }
  return absl::OkStatus();
}

std::string TokenSequence::fingerprint() const {
  std::string all;
  for (const auto& file : files_) absl::StrAppend(&all, all.empty() ? "" : ",", file->fingerprint());
  return all;
}

std::string TokenSequence::description() const {
  if (files_.size() == 1) return files_[0]->path();
  return absl::StrCat(files_[0]->path(), " and ", files_.size() - 1, " more");
}

}  // namespace stowage
