// A breakdown for the terminal and as JSON.
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "trainer/breakdown/breakdown.h"

namespace stowage {
namespace {

using Json = nlohmann::ordered_json;

std::vector<std::pair<const char*, int64_t>> Parts(const ActivationBytes& bytes) {
  return {{"embeddings", bytes.embeddings},
          {"QKV", bytes.qkv},
          {"scores", bytes.scores},
          {"attention output", bytes.attention_output},
          {"FFN intermediate", bytes.ffn},
          {"layer output", bytes.layer_output},
          {"head", bytes.head}};
}

// One unit for a whole table, so that its numbers can be added up by eye.
class Unit {
 public:
  explicit Unit(int64_t largest) : giga_(largest >= 10'000'000'000) {}
  std::string name() const { return giga_ ? "GB" : "MB"; }
  std::string operator()(std::optional<int64_t> bytes) const {
    return bytes.has_value() ? absl::StrFormat("%.1f", static_cast<double>(*bytes) / (giga_ ? 1e9 : 1e6)) : "-";
  }

 private:
  const bool giga_;
};

std::string Row(const std::string& name, const std::string& first, const std::string& second) {
  return absl::StrFormat("  %-18s %12s %12s", name, first, second);
}

void CategoryLines(const MemoryBreakdown& breakdown, const Unit& unit, std::vector<std::string>* lines) {
  const RehearsedBytes rehearsed = breakdown.rehearsed.value_or(RehearsedBytes());
  RehearsedBytes formula;
  std::optional<int64_t> sum;
  if (breakdown.formula.has_value()) {
    const FormulaBreakdown& f = *breakdown.formula;
    formula = {f.states.parameters, f.states.gradients, f.states.optimizer, std::nullopt};
    if (f.activations.has_value()) {
      formula.activations = f.activations->total();
      sum = f.states.total() + *formula.activations;
    }
  }
  std::optional<int64_t> rehearsed_sum;
  if (rehearsed.parameters && rehearsed.gradients && rehearsed.optimizer && rehearsed.activations) {
    rehearsed_sum = *rehearsed.parameters + *rehearsed.gradients + *rehearsed.optimizer + *rehearsed.activations;
  }
  lines->push_back(Row(unit.name(), "formula", "rehearsed"));
  lines->push_back(Row("parameters", unit(formula.parameters), unit(rehearsed.parameters)));
  lines->push_back(Row("gradients", unit(formula.gradients), unit(rehearsed.gradients)));
  lines->push_back(Row("optimizer", unit(formula.optimizer), unit(rehearsed.optimizer)));
  lines->push_back(Row("activations", unit(formula.activations), unit(rehearsed.activations)));
  lines->push_back(Row("sum", unit(sum), unit(rehearsed_sum)));
  lines->push_back("  (each its own most; they are not all at their most at once, so a step's peak is less)");
}

void ActivationLines(const FormulaBreakdown& formula, const Unit& unit, std::vector<std::string>* lines) {
  lines->push_back("");
  lines->push_back("activations kept for backward, no recompute (formula)");
  lines->push_back(Row(unit.name(), "this run", "literature"));
  const auto literature = Parts(formula.literature);
  for (size_t i = 0; i < literature.size(); ++i) {
    std::optional<int64_t> own;
    if (formula.activations.has_value()) own = Parts(*formula.activations)[i].second;
    lines->push_back(Row(literature[i].first, unit(own), unit(literature[i].second)));
  }
  std::optional<int64_t> total;
  if (formula.activations.has_value()) total = formula.activations->total();
  lines->push_back(Row("sum", unit(total), unit(formula.literature.total())));
  if (!total.has_value()) {
    lines->push_back("  (as rehearsed only: no formula for recompute, fp32_segments, nor fused attention with shared heads)");
  }
  lines->push_back(
      "  literature: Korthikanti et al. 2022, sbh (34 + 5 as/h) a layer in 16 bits, with dropout, and logits");
  lines->push_back(absl::StrCat("  with each layer recomputed from its input: ", unit(formula.activations_recomputed),
                                " ", unit.name(), " (formula, not rehearsed: memory.recompute: layer",
                                formula.activations.has_value() ? ")" : "; with the literature's activations)"));
}

void StageLines(const FormulaBreakdown& formula, const Unit& unit, std::vector<std::string>* lines) {
  lines->push_back("");
  lines->push_back(
      "per rank by ZeRO stage (formula, not rehearsed: Rajbhandari et al. 2020; sharding.zero and --ranks rehearse one)");
  std::string head = absl::StrFormat("  %4s %6s %11s %10s %10s %10s", "ZeRO", "ranks", "parameters", "gradients",
                                     "optimizer", absl::StrCat("sum, ", unit.name()));
  for (const DeviceSize& device : kDevices) {
    absl::StrAppendFormat(&head, "  %14s", absl::StrCat(device.name, " ", device.bytes / 1'000'000'000, " GB"));
  }
  lines->push_back(head);
  for (const StageRow& row : formula.stages) {
    std::string line =
        absl::StrFormat("  %4d %6d %11s %10s %10s %10s", row.stage, row.ranks, unit(row.states.parameters),
                        unit(row.states.gradients), unit(row.states.optimizer), unit(row.total));
    for (const bool fits : row.fits) absl::StrAppendFormat(&line, "  %14s", fits ? "fits" : "does not fit");
    lines->push_back(line);
  }
  lines->push_back("  sum: with activations; without padding, gathered groups, and what no tensor accounts for");
  if (!formula.activations.has_value()) {
    lines->push_back("  activations here are the literature's: there is no formula for what this run keeps");
  }
}

Json StatesJson(const StateBytes& states) {
  return {{"parameters", states.parameters}, {"gradients", states.gradients}, {"optimizer", states.optimizer}};
}

Json ActivationsJson(const ActivationBytes& bytes) {
  Json json = {{"embeddings", bytes.embeddings},
               {"qkv", bytes.qkv},
               {"scores", bytes.scores},
               {"attention_output", bytes.attention_output},
               {"ffn_intermediate", bytes.ffn},
               {"layer_output", bytes.layer_output},
               {"head", bytes.head}};
  json["total"] = bytes.total();
  return json;
}

void Put(Json& json, const char* key, const std::optional<int64_t>& value) {
  if (value.has_value()) json[key] = *value;
}

Json FormulaJson(const FormulaBreakdown& formula) {
  Json json = {{"parameter_count", formula.parameters.total()}, {"states", StatesJson(formula.states)}};
  if (formula.activations.has_value()) json["activations"] = ActivationsJson(*formula.activations);
  json["activations_literature"] = ActivationsJson(formula.literature);
  json["activations_recomputed"] = formula.activations_recomputed;
  // Of "activations_recomputed" and of the totals of "stages".
  json["activations_source"] = formula.activations.has_value() ? "this run" : "literature";
  json["stages"] = Json::array();
  for (const StageRow& row : formula.stages) {
    Json fits = Json::object();
    for (size_t d = 0; d < kDevices.size(); ++d) fits[kDevices[d].name] = row.fits[d];
    json["stages"].push_back({{"zero", row.stage},
                              {"ranks", row.ranks},
                              {"states", StatesJson(row.states)},
                              {"total", row.total},
                              {"fits", fits}});
  }
  return json;
}

}  // namespace

std::vector<std::string> BreakdownLines(const MemoryBreakdown& breakdown) {
  std::vector<std::string> lines;
  std::string title = absl::StrCat("memory breakdown of one rank: ", breakdown.kind);
  int64_t largest = 0;
  if (breakdown.formula.has_value()) {
    absl::StrAppend(&title, ", ", breakdown.formula->parameters.total(), " parameters");
    largest = breakdown.formula->states.total();
  } else if (breakdown.rehearsed.has_value()) {
    largest = breakdown.rehearsed->optimizer.value_or(0) + breakdown.rehearsed->activations.value_or(0);
  }
  absl::StrAppend(&title, ", micro-batch ", breakdown.micro_batch, ", ", breakdown.precision, ", ", breakdown.optimizer,
                  ", ", breakdown.world_size, breakdown.world_size == 1 ? " rank" : " ranks");
  lines.push_back(title);
  const Unit unit(largest);
  CategoryLines(breakdown, unit, &lines);
  if (!breakdown.formula.has_value()) {
    lines.push_back(absl::StrCat("  (as rehearsed only: there is no formula for ", breakdown.kind, ")"));
    return lines;
  }
  ActivationLines(*breakdown.formula, unit, &lines);
  StageLines(*breakdown.formula, unit, &lines);
  return lines;
}

Json BreakdownJson(const MemoryBreakdown& breakdown) {
  Json json = {{"kind", breakdown.kind},
               {"precision", breakdown.precision},
               {"optimizer", breakdown.optimizer},
               {"micro_batch", breakdown.micro_batch},
               {"world_size", breakdown.world_size}};
  if (breakdown.formula.has_value()) json["formula"] = FormulaJson(*breakdown.formula);
  if (breakdown.rehearsed.has_value()) {
    Json rehearsed = Json::object();
    Put(rehearsed, "parameters", breakdown.rehearsed->parameters);
    Put(rehearsed, "gradients", breakdown.rehearsed->gradients);
    Put(rehearsed, "optimizer", breakdown.rehearsed->optimizer);
    Put(rehearsed, "activations", breakdown.rehearsed->activations);
    json["rehearsed"] = rehearsed;
  }
  return json;
}

std::vector<std::string> SevenBillionLines() {
  constexpr int64_t kParameters = 7'000'000'000;
  // Activations depend on batch and length; this is the span that is usually named for such a model.
  constexpr int64_t kLeast = 10'000'000'000, kMost = 100'000'000'000;
  const auto gb = [](int64_t bytes) { return absl::StrCat(bytes / 1'000'000'000); };
  const StateBytes half = StatesIn16Bits(kParameters), mixed = MixedPrecisionStates(kParameters);
  return {absl::StrCat("7 B parameters, all states in 16 bits: ", gb(half.parameters), " + ", gb(half.gradients), " + ",
                       gb(half.optimizer), " + ", gb(kLeast), "...", gb(kMost),
                       " of activations = ", gb(half.total() + kLeast), "-", gb(half.total() + kMost), " GB"),
          absl::StrCat("7 B parameters, fp32 master weights and Adam: ", mixed.total() / kParameters,
                       " bytes a parameter, ", gb(mixed.total()), " GB and activations")};
}

}  // namespace stowage
