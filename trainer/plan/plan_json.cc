#include "trainer/plan/plan_json.h"

#include <cmath>
#include <cstdint>
#include <exception>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "trainer/plan/plan_words.h"

namespace stowage {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;
using ByteMap = std::map<std::string, int64_t>;

constexpr int kFormat = 1;

ordered_json BytesJson(const ByteMap& bytes) {
  ordered_json object = ordered_json::object();
  for (const auto& [name, count] : bytes) object[ValidUtf8(name)] = count;
  return object;
}

ordered_json PhaseJson(const PhasePrediction& phase) {
  return {{"phase", ValidUtf8(phase.phase)},
          {"peak_bytes", BytesJson(phase.peak_bytes)},
          {"total_peak_bytes", phase.total_peak_bytes},
          {"peak_instruction", ValidUtf8(phase.peak_instruction)}};
}

ordered_json InstructionJson(const InstructionPrediction& i) {
  return {{"phase", ValidUtf8(i.phase)},           {"label", ValidUtf8(i.label)},
          {"micro_batch", i.micro_batch},          {"live_bytes", BytesJson(i.live_bytes)},
          {"peak_bytes", BytesJson(i.peak_bytes)}, {"total_live_bytes", i.total_live_bytes},
          {"total_peak_bytes", i.total_peak_bytes}};
}

ordered_json OutsideJson(const OutsidePrediction& outside) {
  return {{"name", ValidUtf8(outside.name)},
          {"text", ValidUtf8(outside.text)},
          {"bytes", outside.bytes},
          {"source", SourceWord(outside.source)}};
}

ordered_json BudgetJson(const BudgetVerdict& budget) {
  ordered_json object = {{"key", ValidUtf8(budget.key)}, {"asked", ValidUtf8(budget.asked)}};
  if (budget.limit_bytes.has_value()) object["limit_bytes"] = *budget.limit_bytes;
  object["limit_source"] = ValidUtf8(budget.limit_source);
  object["need_bytes"] = budget.need_bytes;
  object["first_over"] = ValidUtf8(budget.first_over);
  object["fits"] = budget.fits();
  return object;
}

ordered_json AssumedJson(const AssumedWorkspace& assumed) {
  return {{"operator", ValidUtf8(assumed.name)}, {"argument_bytes", assumed.argument_bytes}};
}

ordered_json ScheduleJson(const VerifiedSchedule& schedule) {
  return {{"name", ValidUtf8(schedule.name)},
          {"micro_batches", schedule.micro_batches},
          {"instructions", schedule.instructions}};
}

ordered_json HintJson(const Hint& hint) {
  return {{"key", ValidUtf8(hint.key)}, {"from", ValidUtf8(hint.from)},
          {"to", ValidUtf8(hint.to)},   {"saves_bytes", hint.saves_bytes},
          {"fits", hint.fits},          {"note", ValidUtf8(hint.note)}};
}

template <typename T>
ordered_json ListJson(const std::vector<T>& list, ordered_json (*one)(const T&)) {
  ordered_json array = ordered_json::array();
  for (const T& item : list) array.push_back(one(item));
  return array;
}

absl::Status Wrong(const std::string& where, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("prediction: ", where.empty() ? "the whole" : where, ": ", what));
}

// Reads an object's members one after the other and keeps the first error. After one, nothing more is read.
class Reader {
 public:
  // `value` must outlive the reader; `where`: its place, empty for the whole.
  Reader(const json& value, std::string where) : value_(value), where_(std::move(where)) {
    if (!value_.is_object()) Fail("", absl::StrCat("is not an object but a ", value_.type_name()));
  }

  const absl::Status& status() const { return status_; }

  void Read(const char* key, std::string* out) {
    if (const json* found = Find(key, &json::is_string, "a text")) *out = found->get<std::string>();
  }
  void Read(const char* key, bool* out) {
    if (const json* found = Find(key, &json::is_boolean, "true or false")) *out = found->get<bool>();
  }
  void Read(const char* key, double* out) {
    if (const json* found = Find(key, &json::is_number, "a number")) *out = found->get<double>();
  }
  void Read(const char* key, int64_t* out) {
    const json* found = Find(key, &json::is_number_integer, "a whole number");
    if (found != nullptr) ReadWhole(key, *found, out);
  }
  void Read(const char* key, int* out) {
    int64_t wide = 0;
    Read(key, &wide);
    if (!status_.ok()) return;
    if (wide < std::numeric_limits<int>::min() || wide > std::numeric_limits<int>::max()) {
      return Fail(key, absl::StrCat("is out of range: ", wide));
    }
    *out = static_cast<int>(wide);
  }
  void Read(const char* key, std::optional<int64_t>* out) {
    out->reset();
    if (!status_.ok() || !value_.contains(key)) return;
    int64_t bytes = 0;
    Read(key, &bytes);
    if (status_.ok()) *out = bytes;
  }
  void Read(const char* key, ByteMap* out) {
    const json* found = Find(key, &json::is_object, "an object of bytes");
    if (found == nullptr) return;
    for (const auto& [name, bytes] : found->items()) {
      const std::string place = absl::StrCat(key, ".", name);
      if (!bytes.is_number_integer()) {
        return Fail(place, absl::StrCat("is not a whole number but a ", bytes.type_name()));
      }
      ReadWhole(place, bytes, &(*out)[name]);
    }
  }
  void Read(const char* key, Source* out) {
    std::string word;
    Read(key, &word);
    if (!status_.ok()) return;
    for (const Source source : {Source::kRehearsed, Source::kMeasured, Source::kEstimated}) {
      if (word == SourceWord(source)) {
        *out = source;
        return;
      }
    }
    Fail(key, absl::StrCat("is \"", word, "\", not one of rehearsed, measured, estimated"));
  }
  template <typename T>
  void Read(const char* key, std::vector<T>* out, void (*one)(Reader&, T*)) {
    const json* found = Find(key, &json::is_array, "a list");
    if (found == nullptr) return;
    out->reserve(found->size());
    for (const json& item : *found) {
      Reader reader(item, Place(absl::StrCat(key, "[", out->size(), "]")));
      out->emplace_back();
      if (reader.status().ok()) one(reader, &out->back());
      status_ = reader.status();
      if (!status_.ok()) return;
    }
  }

 private:
  std::string Place(const std::string& key) const {
    return where_.empty() || key.empty() ? absl::StrCat(where_, key) : absl::StrCat(where_, ".", key);
  }
  void Fail(const std::string& key, const std::string& what) {
    if (status_.ok()) status_ = Wrong(Place(key), what);
  }
  // nullptr after an error, also one of its own.
  const json* Find(const char* key, bool (json::*is)() const noexcept, const char* wanted) {
    if (!status_.ok()) return nullptr;
    const auto found = value_.find(key);
    if (found == value_.end()) {
      Fail(key, "is missing");
      return nullptr;
    }
    if (!((*found).*is)()) {
      Fail(key, absl::StrCat("is not ", wanted, " but a ", found->type_name()));
      return nullptr;
    }
    return &*found;
  }
  void ReadWhole(const std::string& key, const json& number, int64_t* out) {
    if (number.is_number_unsigned() &&
        number.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return Fail(key, absl::StrCat("is out of range: ", number.get<uint64_t>()));
    }
    *out = number.get<int64_t>();
  }

  const json& value_;
  const std::string where_;
  absl::Status status_;
};

void ReadPhase(Reader& reader, PhasePrediction* phase) {
  reader.Read("phase", &phase->phase);
  reader.Read("peak_bytes", &phase->peak_bytes);
  reader.Read("total_peak_bytes", &phase->total_peak_bytes);
  reader.Read("peak_instruction", &phase->peak_instruction);
}

void ReadInstruction(Reader& reader, InstructionPrediction* instruction) {
  reader.Read("phase", &instruction->phase);
  reader.Read("label", &instruction->label);
  reader.Read("micro_batch", &instruction->micro_batch);
  reader.Read("live_bytes", &instruction->live_bytes);
  reader.Read("peak_bytes", &instruction->peak_bytes);
  reader.Read("total_live_bytes", &instruction->total_live_bytes);
  reader.Read("total_peak_bytes", &instruction->total_peak_bytes);
}

void ReadOutside(Reader& reader, OutsidePrediction* outside) {
  reader.Read("name", &outside->name);
  reader.Read("text", &outside->text);
  reader.Read("bytes", &outside->bytes);
  reader.Read("source", &outside->source);
}

void ReadBudget(Reader& reader, BudgetVerdict* budget) {
  reader.Read("key", &budget->key);
  reader.Read("asked", &budget->asked);
  reader.Read("limit_bytes", &budget->limit_bytes);
  reader.Read("limit_source", &budget->limit_source);
  reader.Read("need_bytes", &budget->need_bytes);
  reader.Read("first_over", &budget->first_over);
}

void ReadAssumed(Reader& reader, AssumedWorkspace* assumed) {
  reader.Read("operator", &assumed->name);
  reader.Read("argument_bytes", &assumed->argument_bytes);
}

void ReadSchedule(Reader& reader, VerifiedSchedule* schedule) {
  reader.Read("name", &schedule->name);
  reader.Read("micro_batches", &schedule->micro_batches);
  reader.Read("instructions", &schedule->instructions);
}

void ReadHint(Reader& reader, Hint* hint) {
  reader.Read("key", &hint->key);
  reader.Read("from", &hint->from);
  reader.Read("to", &hint->to);
  reader.Read("saves_bytes", &hint->saves_bytes);
  reader.Read("fits", &hint->fits);
  reader.Read("note", &hint->note);
}

absl::StatusOr<Prediction> FromJson(const json& value) {
  Reader reader(value, "");
  int format = 0;
  reader.Read("format", &format);
  STOWAGE_RETURN_IF_ERROR(reader.status());
  if (format != kFormat) {
    return Wrong("format", absl::StrCat("is ", format, "; this program reads ", kFormat));
  }
  Prediction p;
  reader.Read("config", &p.config);
  reader.Read("model", &p.model);
  reader.Read("world_size", &p.world_size);
  reader.Read("threads", &p.threads);
  reader.Read("global_batch", &p.global_batch);
  reader.Read("micro_batch", &p.micro_batch);
  reader.Read("micro_batches_per_rank", &p.micro_batches_per_rank);
  reader.Read("precision", &p.precision);
  reader.Read("zero", &p.zero);
  reader.Read("recompute", &p.recompute);
  reader.Read("phases", &p.phases, &ReadPhase);
  reader.Read("instructions", &p.instructions, &ReadInstruction);
  reader.Read("tensors_peak_bytes", &p.tensors_peak_bytes);
  reader.Read("pool_peak_bytes", &p.pool_peak_bytes);
  reader.Read("assumed", &p.assumed, &ReadAssumed);
  reader.Read("verified_schedules", &p.schedules, &ReadSchedule);
  reader.Read("outside", &p.outside, &ReadOutside);
  reader.Read("rss_peak_bytes", &p.rss_peak_bytes);
  reader.Read("machine", &p.machine);
  reader.Read("machine_remark", &p.machine_remark);
  reader.Read("budgets", &p.budgets, &ReadBudget);
  reader.Read("hints", &p.hints, &ReadHint);
  reader.Read("breakdown", &p.breakdown);
  reader.Read("seconds", &p.seconds);
  STOWAGE_RETURN_IF_ERROR(reader.status());
  return p;
}

}  // namespace

std::string PredictionJson(const Prediction& p) {
  STOWAGE_CHECK(std::isfinite(p.seconds)) << p.seconds;
  ordered_json object = {{"format", kFormat},
                         {"config", ValidUtf8(p.config)},
                         {"model", ValidUtf8(p.model)},
                         {"world_size", p.world_size},
                         {"threads", p.threads},
                         {"global_batch", p.global_batch},
                         {"micro_batch", p.micro_batch},
                         {"micro_batches_per_rank", p.micro_batches_per_rank},
                         {"precision", ValidUtf8(p.precision)},
                         {"zero", ValidUtf8(p.zero)},
                         {"recompute", ValidUtf8(p.recompute)},
                         {"fits", p.fits()},
                         {"budgets", ListJson(p.budgets, &BudgetJson)},
                         {"hints", ListJson(p.hints, &HintJson)},
                         {"tensors_peak_bytes", p.tensors_peak_bytes}};
  if (p.pool_peak_bytes.has_value()) object["pool_peak_bytes"] = *p.pool_peak_bytes;
  if (p.rss_peak_bytes.has_value()) object["rss_peak_bytes"] = *p.rss_peak_bytes;
  object["machine"] = ValidUtf8(p.machine);
  object["machine_remark"] = ValidUtf8(p.machine_remark);
  object["outside"] = ListJson(p.outside, &OutsideJson);
  object["assumed"] = ListJson(p.assumed, &AssumedJson);
  object["verified_schedules"] = ListJson(p.schedules, &ScheduleJson);
  object["breakdown"] = ValidUtf8(p.breakdown);
  object["seconds"] = p.seconds;
  object["phases"] = ListJson(p.phases, &PhaseJson);
  object["instructions"] = ListJson(p.instructions, &InstructionJson);
  return object.dump(1) + "\n";
}

absl::StatusOr<Prediction> ParsePrediction(absl::string_view text) {
  // nlohmann tells where JSON is torn by throwing, and by that alone.
  try {
    return FromJson(json::parse(text.begin(), text.end()));
  } catch (const std::exception& error) {
    return Wrong("", absl::StrCat("is not JSON: ", ValidUtf8(error.what())));
  }
}

}  // namespace stowage
