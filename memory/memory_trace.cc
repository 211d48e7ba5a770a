#include "memory/memory_trace.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace stowage {
namespace {

using Json = nlohmann::ordered_json;

Json ByCategory(const PlacePeaks& bytes) {
  Json json;
  for (int c = 0; c < kCategories; ++c) {
    json[std::string(CategoryName(static_cast<Category>(c)))] = bytes.categories[c];
  }
  return json;
}

bool Same(const PlacePeaks& a, const PlacePeaks& b) { return a.categories == b.categories; }

double Microseconds(int64_t ns) { return static_cast<double>(ns) / 1e3; }

// As RFC 4180 has it: names may hold commas and quotes.
std::string Quoted(const std::string& text) {
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

}  // namespace

LiveBytes ReadLive(const Ledger& ledger) {
  LiveBytes live;
  for (int p = 0; p < kPlaces; ++p) {
    const Place place = static_cast<Place>(p);
    if (!ledger.used(place)) continue;
    for (int c = 0; c < kCategories; ++c) {
      live.places[p].categories[c] = ledger.live(static_cast<Category>(c), place);
    }
    live.places[p].total = ledger.total_live(place);
  }
  return live;
}

std::vector<Place> MemoryTrace::UsedPlaces() const {
  std::vector<Place> used;
  for (int p = 0; p < kPlaces; ++p) {
    const auto holds = [p](const MemorySlice& slice) { return slice.peaks.places[p].total > 0; };
    if (std::any_of(slices_.begin(), slices_.end(), holds)) used.push_back(static_cast<Place>(p));
  }
  return used;
}

std::string MemoryTrace::Json(const std::string& process) const {
  int64_t origin = slices_.empty() ? 0 : slices_.front().start_ns;
  for (const MemorySlice& slice : slices_) origin = std::min(origin, slice.start_ns);
  using stowage::Json;
  Json events = Json::array();
  const auto name_track = [&](int track, const char* kind, const std::string& name) {
    events.push_back({{"ph", "M"}, {"pid", 0}, {"tid", track}, {"name", kind}, {"args", {{"name", name}}}});
  };
  name_track(0, "process_name", process);
  name_track(0, "thread_name", "steps");
  name_track(1, "thread_name", "instructions");
  const std::vector<Place> places = UsedPlaces();
  std::array<PlacePeaks, kPlaces> shown;
  bool first = true;
  for (const MemorySlice& slice : slices_) {
    const double start = Microseconds(slice.start_ns - origin), end = Microseconds(slice.end_ns - origin);
    Json args = {{"step", slice.step}};
    if (slice.micro_batch >= 0) args["micro_batch"] = slice.micro_batch;
    for (Place place : places) {
      const PlacePeaks& peaks = slice.peaks[place];
      args[absl::StrCat(PlaceName(place), "_peak_bytes")] = ByCategory(peaks);
      args[absl::StrCat(PlaceName(place), "_peak_bytes")]["total"] = peaks.total;
    }
    events.push_back({{"ph", "X"},
                      {"pid", 0},
                      {"tid", slice.outer ? 0 : 1},
                      {"name", slice.label.text()},
                      {"ts", start},
                      {"dur", end - start},
                      {"args", std::move(args)}});
    if (slice.outer) continue;
    for (Place place : places) {
      const int p = static_cast<int>(place);
      const auto counter = [&](double time, const char* what, Json values) {
        events.push_back({{"ph", "C"},
                          {"pid", 0},
                          {"name", absl::StrCat(PlaceName(place), what)},
                          {"ts", time},
                          {"args", std::move(values)}});
      };
      if (first || !Same(shown[p], slice.at_start.places[p])) {
        counter(start, " bytes", ByCategory(slice.at_start.places[p]));
      }
      counter(start, " peak bytes", {{"total", slice.peaks[place].total}});
      counter(end, " bytes", ByCategory(slice.at_end.places[p]));
      shown[p] = slice.at_end.places[p];
    }
    first = false;
  }
  const Json trace = {{"displayTimeUnit", "ms"}, {"traceEvents", std::move(events)}};
  return trace.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string MemoryTrace::Csv() const {
  const std::vector<Place> places = UsedPlaces();
  int64_t origin = slices_.empty() ? 0 : slices_.front().start_ns;
  for (const MemorySlice& slice : slices_) origin = std::min(origin, slice.start_ns);
  std::string text = "step,micro_batch,name,start_us,duration_us";
  for (Place place : places) {
    for (const char* what : {"live_bytes", "peak_bytes"}) {
      for (int c = 0; c < kCategories; ++c) {
        absl::StrAppend(&text, ",", PlaceName(place), "_", what, "_", CategoryName(static_cast<Category>(c)));
      }
      absl::StrAppend(&text, ",", PlaceName(place), "_", what, "_total");
    }
  }
  absl::StrAppend(&text, "\n");
  for (const MemorySlice& slice : slices_) {
    absl::StrAppend(&text, slice.step, ",");
    if (slice.micro_batch >= 0) absl::StrAppend(&text, slice.micro_batch);
    absl::StrAppend(&text, ",", Quoted(slice.label.text()), ",", (slice.start_ns - origin) / 1000, ",",
                    (slice.end_ns - slice.start_ns) / 1000);
    for (Place place : places) {
      for (const PlacePeaks* bytes : {&slice.at_end.places[static_cast<int>(place)], &slice.peaks[place]}) {
        for (int64_t of_category : bytes->categories) absl::StrAppend(&text, ",", of_category);
        absl::StrAppend(&text, ",", bytes->total);
      }
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

}  // namespace stowage
