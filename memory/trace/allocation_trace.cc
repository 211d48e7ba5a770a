#include "memory/trace/allocation_trace.h"

#include <zlib.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace stowage {
namespace {

constexpr char kFirstLine[] = "stowage allocations 1\n";

// Of the system, or of zlib where the system has none.
absl::Status FileError(gzFile file, const std::string& path, const char* what) {
  int code = Z_OK;
  const char* text = file == nullptr ? nullptr : gzerror(file, &code);
  if (text == nullptr || code == Z_ERRNO) text = std::strerror(errno);
  return absl::UnavailableError(absl::StrCat(path, ": ", what, ": ", text));
}

// One line into `event` or a step; false: it is neither, or it frees what is not live.
bool ParseLine(const char* line, std::vector<bool>* live, AllocationTrace* trace) {
  AllocationEvent event;
  long long number = 0;
  char sign = 0, rest = 0;
  if (std::strcmp(line, "step\n") == 0) {
    trace->steps.push_back(static_cast<int64_t>(trace->events.size()));
    return true;
  }
  if (std::sscanf(line, "%c %lld %d %c", &sign, &number, &event.thread, &rest) != 3 || event.thread < 0) return false;
  if (sign == '+' && number >= 1) {
    event.block = static_cast<int32_t>(live->size());
    event.bytes = number;
    live->push_back(true);
  } else if (sign == '-' && number >= 0 && number < static_cast<long long>(live->size()) && (*live)[number]) {
    event.block = static_cast<int32_t>(number);
    (*live)[number] = false;
  } else {
    return false;
  }
  trace->events.push_back(event);
  return true;
}

}  // namespace

absl::Status WriteAllocationTrace(const std::string& path, const AllocationTrace& trace) {
  std::string text = absl::StrCat(kFirstLine, "# ", trace.name, "\n");
  size_t step = 0;
  for (size_t i = 0; i <= trace.events.size(); ++i) {
    for (; step < trace.steps.size() && trace.steps[step] == static_cast<int64_t>(i); ++step) text += "step\n";
    if (i == trace.events.size()) break;
    const AllocationEvent& event = trace.events[i];
    if (event.bytes > 0) {
      absl::StrAppend(&text, "+ ", event.bytes, " ", event.thread, "\n");
    } else {
      absl::StrAppend(&text, "- ", event.block, " ", event.thread, "\n");
    }
  }
  gzFile file = gzopen(path.c_str(), "wb9");
  if (file == nullptr) return FileError(nullptr, path, "cannot be written");
  if (gzwrite(file, text.data(), static_cast<unsigned>(text.size())) != static_cast<int>(text.size())) {
    const absl::Status status = FileError(file, path, "cannot be written");
    gzclose(file);
    return status;
  }
  return gzclose(file) == Z_OK ? absl::OkStatus() : FileError(nullptr, path, "cannot be written");
}

absl::StatusOr<AllocationTrace> ReadAllocationTrace(const std::string& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) return FileError(nullptr, path, "cannot be read");
  AllocationTrace trace;
  std::vector<bool> live;
  char line[256];
  int64_t number = 1;
  absl::Status status;
  if (gzgets(file, line, sizeof(line)) == nullptr || std::strcmp(line, kFirstLine) != 0) {
    status = absl::DataLossError(absl::StrCat(path, ": no trace of allocations of version 1"));
  }
  while (status.ok() && gzgets(file, line, sizeof(line)) != nullptr) {
    ++number;
    if (line[0] == '#') {
      if (trace.name.empty() && std::strlen(line) > 3) trace.name.assign(line + 2, std::strlen(line) - 3);
    } else if (!ParseLine(line, &live, &trace)) {
      status = absl::DataLossError(
          absl::StrCat(path, ":", number, ": neither allocation, free of a live block, nor ", "step: ", line));
    }
  }
  int code = Z_OK;
  gzerror(file, &code);
  if (status.ok() && code != Z_OK && code != Z_STREAM_END) status = FileError(file, path, "is damaged");
  if (gzclose(file) != Z_OK && status.ok()) status = absl::DataLossError(absl::StrCat(path, ": ends too early"));
  if (!status.ok()) return status;
  return trace;
}

}  // namespace stowage
