#include "memory/outside/smaps.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace stowage {
namespace {

constexpr char kSmaps[] = "/proc/self/smaps";
constexpr char kPagemap[] = "/proc/self/pagemap";
constexpr uint64_t kPageBytes = 4096;

absl::Status SystemError(const char* path) {
  return absl::UnavailableError(absl::StrCat(path, ": ", std::strerror(errno),
                                             "; what lies outside the ledger cannot be measured without it (is /proc "
                                             "mounted?)"));
}

// The hexadecimal number that `text` begins with, cut off it; false: there is none.
bool TakeHex(absl::string_view* text, uint64_t* value) {
  *value = 0;
  size_t at = 0;
  for (; at < text->size() && at < 16; ++at) {
    const char c = (*text)[at];
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) break;
    *value = *value * 16 + static_cast<uint64_t>(digit);
  }
  text->remove_prefix(at);
  return at > 0;
}

bool TakeChar(absl::string_view* text, char c) {
  if (text->empty() || text->front() != c) return false;
  text->remove_prefix(1);
  return true;
}

// "7f0000000000-7f0000021000 rw-p 00000000 00:00 0                    [heap]"
bool ParseHeader(absl::string_view line, Mapping* mapping) {
  if (!TakeHex(&line, &mapping->begin) || !TakeChar(&line, '-') || !TakeHex(&line, &mapping->end) ||
      !TakeChar(&line, ' ') || line.size() < 5) {
    return false;
  }
  mapping->writable = line[1] == 'w';
  mapping->executable = line[2] == 'x';
  mapping->shared = line[3] == 's';
  // Permissions, offset, device, inode, and the name to the line's end, blanks of its own included.
  for (int field = 0; field < 4; ++field) {
    const size_t blank = line.find(' ');
    if (blank == absl::string_view::npos) return field == 3;  // an inode that ends the line
    line.remove_prefix(blank + 1);
  }
  const size_t name = line.find_first_not_of(' ');
  if (name != absl::string_view::npos) mapping->name = std::string(line.substr(name));
  return true;
}

}  // namespace

void SmapsParser::Line(absl::string_view line) {
  if (line.empty() || !bad_.empty()) return;
  // A key begins with a capital, an address is in small hexadecimal digits.
  if (line.front() < 'A' || line.front() > 'Z') {
    Mapping mapping;
    if (ParseHeader(line, &mapping)) {
      mappings_.push_back(std::move(mapping));
    } else {
      bad_ = std::string(line);
    }
    return;
  }
  constexpr absl::string_view kRss = "Rss:";
  if (line.substr(0, kRss.size()) != kRss) return;
  line.remove_prefix(kRss.size());
  int64_t kib = 0;
  if (mappings_.empty() || !absl::SimpleAtoi(line.substr(0, line.find(" kB")), &kib)) {
    bad_ = absl::StrCat(kRss, line);
    return;
  }
  mappings_.back().rss_bytes = kib * 1024;
}

void SmapsParser::Add(absl::string_view piece) {
  while (!piece.empty()) {
    const size_t end = piece.find('\n');
    if (end == absl::string_view::npos) {
      absl::StrAppend(&rest_, piece);
      return;
    }
    if (rest_.empty()) {
      Line(piece.substr(0, end));
    } else {
      absl::StrAppend(&rest_, piece.substr(0, end));
      Line(rest_);
      rest_.clear();
    }
    piece.remove_prefix(end + 1);
  }
}

absl::StatusOr<std::vector<Mapping>> SmapsParser::Finish() {
  if (!rest_.empty()) Line(rest_);
  if (!bad_.empty()) return absl::DataLossError(absl::StrCat(kSmaps, ": a line that is not understood: ", bad_));
  if (mappings_.empty()) return absl::DataLossError(absl::StrCat(kSmaps, ": empty"));
  return std::move(mappings_);
}

absl::StatusOr<std::vector<Mapping>> ReadSmaps() {
  const int file = open(kSmaps, O_RDONLY | O_CLOEXEC);
  if (file < 0) return SystemError(kSmaps);
  const auto closer = absl::MakeCleanup([file] { close(file); });
  SmapsParser parser;
  char piece[8192];  // the kernel gives a page at a time
  while (true) {
    const ssize_t got = read(file, piece, sizeof(piece));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return SystemError(kSmaps);
    if (got == 0) break;
    parser.Add(absl::string_view(piece, static_cast<size_t>(got)));
  }
  return parser.Finish();
}

absl::StatusOr<int64_t> ResidentBytes(uint64_t begin, uint64_t end) {
  const int file = open(kPagemap, O_RDONLY | O_CLOEXEC);
  if (file < 0) return SystemError(kPagemap);
  const auto closer = absl::MakeCleanup([file] { close(file); });
  constexpr uint64_t kPresent = uint64_t{1} << 63;
  uint64_t entries[512];
  int64_t pages = 0;
  for (uint64_t page = begin / kPageBytes; page < end / kPageBytes;) {
    const size_t wanted = std::min<uint64_t>(end / kPageBytes - page, 512) * sizeof(uint64_t);
    const ssize_t got = pread(file, entries, wanted, static_cast<off_t>(page * sizeof(uint64_t)));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return SystemError(kPagemap);
    if (got < static_cast<ssize_t>(sizeof(uint64_t))) break;  // beyond the last address
    const size_t count = static_cast<size_t>(got) / sizeof(uint64_t);
    pages += std::count_if(entries, entries + count, [](uint64_t entry) { return (entry & kPresent) != 0; });
    page += count;
  }
  return pages * static_cast<int64_t>(kPageBytes);
}

}  // namespace stowage
