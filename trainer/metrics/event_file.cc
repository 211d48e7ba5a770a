#include "trainer/metrics/event_file.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/crc32c.h"
#include "base/status_macros.h"

namespace stowage {
namespace {

// Protobuf's wire: a key of (field number, type), then the value. Types: 0 varint, 1 eight bytes, 2 length and bytes,
// 5 four bytes. https://protobuf.dev/programming-guides/encoding/
void PutVarint(uint64_t value, std::string& to) {
  while (value >= 0x80) {
    to.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  to.push_back(static_cast<char>(value));
}

void PutKey(int field, int type, std::string& to) { PutVarint(static_cast<uint64_t>(field << 3 | type), to); }

template <typename T>
void PutFixed(T value, std::string& to) {  // the machines we run on are little-endian, as the wire is
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  to.append(bytes, sizeof(T));
}

void PutBytes(int field, absl::string_view bytes, std::string& to) {
  PutKey(field, 2, to);
  PutVarint(bytes.size(), to);
  to.append(bytes.data(), bytes.size());
}

// Rotated and shifted, since a CRC of data that holds its own CRC is a constant.
uint32_t MaskedCrc(absl::string_view data) {
  const uint32_t crc = Crc32c(data);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

std::string HostName() {
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0') return "localhost";
  std::string host = name;
  std::replace(host.begin(), host.end(), '/', '_');
  return host;
}

}  // namespace

absl::StatusOr<EventFile> EventFile::Create(const std::string& folder) {
  // Two starts within a second must not share a file, and the later must sort later.
  int64_t seconds = absl::ToUnixSeconds(absl::Now());
  const auto path = [&] { return absl::StrFormat("%s/events.out.tfevents.%010d.%s", folder, seconds, HostName()); };
  while (PathExists(path())) ++seconds;
  STOWAGE_ASSIGN_OR_RETURN(OutputFile file, OutputFile::Create(path()));
  EventFile events(std::move(file));
  std::string version;
  PutBytes(3, "brain.Event:2", version);
  STOWAGE_RETURN_IF_ERROR(events.WriteEvent(version, 0));
  return events;
}

absl::Status EventFile::WriteRestart(int64_t first_step) {
  constexpr int kStart = 1;
  std::string log;
  PutKey(1, 0, log);
  PutVarint(kStart, log);
  std::string what;
  PutBytes(7, log, what);
  return WriteEvent(what, first_step);
}

absl::Status EventFile::Write(int64_t step, const std::vector<Scalar>& scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars) {
    std::string value;
    PutBytes(1, scalar.tag, value);
    PutKey(2, 5, value);
    PutFixed(static_cast<float>(scalar.value), value);
    PutBytes(1, value, summary);
  }
  std::string what;
  PutBytes(5, summary, what);
  return WriteEvent(what, step);
}

absl::Status EventFile::WriteEvent(const std::string& what, int64_t step) {
  std::string event;
  PutKey(1, 1, event);
  PutFixed(absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()), event);
  PutKey(2, 0, event);
  PutVarint(static_cast<uint64_t>(step), event);
  event += what;

  std::string record;
  PutFixed(static_cast<uint64_t>(event.size()), record);
  PutFixed(MaskedCrc(record), record);
  record += event;
  PutFixed(MaskedCrc(event), record);
  return file_.AppendRecord(record);
}

absl::Status EventFile::Close() {
  STOWAGE_RETURN_IF_ERROR(file_.Sync());
  return file_.Close();
}

}  // namespace stowage
