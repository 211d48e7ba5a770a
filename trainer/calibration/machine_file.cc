#include "trainer/calibration/machine_file.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/crc32c.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"

namespace stowage {
namespace {

using Json = nlohmann::json;  // keys are sorted: the same contents have the same text

constexpr int kVersion = 1;
constexpr char kChecksum[] = "crc32c";

std::string ChecksumOf(Json json) {
  json.erase(kChecksum);
  return absl::StrFormat("%08x", Crc32c(json.dump()));
}

Json ToJson(const MachineFile& file) {
  Json cases = Json::array();
  for (const CalibratedCase& c : file.cases) {
    cases.push_back({{"kind", c.recurrent ? "recurrent" : "plain"},
                     {"precision", c.precision},
                     {"ranks", c.ranks},
                     {"threads", c.threads},
                     {"product_bytes", c.product_bytes},
                     {"source", "measured"},
                     {"bytes", c.bytes}});
  }
  const MachineIdentity& m = file.machine;
  return {{"stowage_machine", kVersion},
          {"date", file.date},
          {"machine",
           {{"cpu", m.cpu},
            {"cores", m.cores},
            {"page_bytes", m.page_bytes},
            {"libc", m.libc},
            {"libtorch", m.libtorch},
            {"onednn", m.onednn},
            {"mpi", m.mpi}}},
          {"cases", cases}};
}

// Throws Json::exception.
MachineFile FromJson(const Json& json) {
  MachineFile file;
  json.at("date").get_to(file.date);
  const Json& m = json.at("machine");
  m.at("cpu").get_to(file.machine.cpu);
  m.at("cores").get_to(file.machine.cores);
  m.at("page_bytes").get_to(file.machine.page_bytes);
  m.at("libc").get_to(file.machine.libc);
  m.at("libtorch").get_to(file.machine.libtorch);
  m.at("onednn").get_to(file.machine.onednn);
  m.at("mpi").get_to(file.machine.mpi);
  for (const Json& c : json.at("cases")) {
    CalibratedCase read;
    read.recurrent = c.at("kind").get<std::string>() == "recurrent";
    c.at("precision").get_to(read.precision);
    c.at("ranks").get_to(read.ranks);
    c.at("threads").get_to(read.threads);
    c.at("product_bytes").get_to(read.product_bytes);
    c.at("bytes").get_to(read.bytes);
    file.cases.push_back(std::move(read));
  }
  return file;
}

absl::Status Refuse(const std::string& path, absl::string_view why) {
  return absl::DataLossError(
      absl::StrCat(path, ": ", why, "; remove it, or run stowage calibrate --force on the machine that it is of"));
}

}  // namespace

std::string MachineFileText(const MachineFile& file) {
  Json json = ToJson(file);
  json[kChecksum] = ChecksumOf(json);
  return json.dump(2) + "\n";
}

absl::StatusOr<MachineFile> ParseMachineFile(absl::string_view text, const std::string& path) {
  const Json json = Json::parse(text.data(), text.data() + text.size(), nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded())
    return Refuse(path, absl::StrCat("no whole JSON in its ", text.size(), " bytes: cut short?"));
  if (!json.is_object() || !json.contains("stowage_machine")) {
    return Refuse(path, "JSON, but not what stowage calibrate writes (no key stowage_machine)");
  }
  if (json["stowage_machine"] != kVersion) {
    return Refuse(path, absl::StrCat("version ", json["stowage_machine"].dump(), " of such files; this program reads ",
                                     kVersion));
  }
  const std::string computed = ChecksumOf(json);
  const std::string said = json.contains(kChecksum) ? json[kChecksum].dump() : "none";
  if (said != absl::StrCat("\"", computed, "\"")) {
    return Refuse(path, absl::StrCat("altered since it was written: its checksum says ", said,
                                     ", and its contents come to \"", computed, "\""));
  }
  try {
    MachineFile file = FromJson(json);
    if (file.cases.empty()) return Refuse(path, "no measurement in it");
    return file;
  } catch (const Json::exception& error) {
    return Refuse(path, error.what());
  }
}

absl::StatusOr<MachineFile> ReadMachineFile(const std::string& path) {
  STOWAGE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return ParseMachineFile(text, path);
}

absl::Status WriteMachineFile(const std::string& path, const MachineFile& file) {
  const size_t slash = path.rfind('/');
  if (slash != std::string::npos && slash > 0) STOWAGE_RETURN_IF_ERROR(MakeFolders(path.substr(0, slash)));
  return WriteFileDurably(path, MachineFileText(file));
}

}  // namespace stowage
