#include "trainer/plan/memory_drawing.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "base/byte_size.h"
#include "trainer/plan/memory_columns.h"
#include "trainer/plan/xml_text.h"

namespace stowage {
namespace {

constexpr int kWidth = 1200, kHeight = 500;
constexpr int kLeft = 92, kRight = 1176, kTop = 76;
constexpr int kMostColumns = 600;  // some two pixels each
constexpr int kMostNamed = 24;     // instructions whose names have room under the plot
constexpr int kMostMicroBatches = 16;
constexpr double kMostAbove = 2.5;  // a budget this many times as high as the peak would press it flat
constexpr double kLetter = 6.4;     // width of a letter of 12 pixels, on average

// Colours of Okabe and Ito, which people with any colour vision can tell apart; grey for what is no category.
constexpr char kStyle[] = R"(
.md-page{fill:#fff}
.md text{font:12px system-ui,"DejaVu Sans",sans-serif;fill:#222}
.md .md-title{font-size:15px;font-weight:600}
.md .md-soft{fill:#666}
.md-grid{stroke:#ddd;stroke-width:1}
.md-axis{stroke:#666;stroke-width:1}
.md-micro{stroke:#999;stroke-width:1;stroke-dasharray:2 3}
.md-end{fill:none;stroke:#222;stroke-width:1.2}
.md-budget{stroke:#c00;stroke-width:2;stroke-dasharray:8 4}
.md .md-budget-text{fill:#c00;font-weight:600}
.md-peak{fill:#222;stroke:#fff;stroke-width:1.5}
.md .md-peak-text{font-weight:600}
.md .md-halo{paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round}
@media (prefers-color-scheme:dark){
.md-page{fill:#16181c}
.md text{fill:#e4e6ea}
.md .md-soft{fill:#a0a4ab}
.md-grid{stroke:#33373e}
.md-end{stroke:#fff}
.md-budget{stroke:#ff6b6b}
.md .md-budget-text{fill:#ff6b6b}
.md-peak{fill:#fff;stroke:#16181c}
.md .md-halo{stroke:#16181c}
}
)";

struct Colour {
  const char* series;
  const char* value;
};
constexpr Colour kColours[] = {
    {kOutsideSeries, "#b3b7bd"}, {"parameters", "#0072b2"},  {"gradients", "#e69f00"},
    {"optimizer", "#56b4e9"},    {"activations", "#009e73"}, {"communication", "#cc79a7"},
    {"workspace", "#d55e00"},    {"data", "#f0e442"},        {kOtherSeries, "#7d828a"},
};

const char* ColourOf(const std::string& series) {
  for (const Colour& colour : kColours) {
    if (series == colour.series) return colour.value;
  }
  return "#8c564b";  // a category that is none of the ledger's
}

// A coordinate: at most two decimals, none where there are none.
std::string At(double value) {
  std::string text = absl::StrFormat("%.2f", value);
  while (absl::EndsWith(text, "0")) text.pop_back();
  if (absl::EndsWith(text, ".")) text.pop_back();
  return text == "-0" ? "0" : text;
}

std::string Text(double x, double y, absl::string_view attributes, absl::string_view text) {
  return absl::StrCat("<text x=\"", At(x), "\" y=\"", At(y), "\"", attributes, ">", XmlText(text), "</text>\n");
}

std::string Line(absl::string_view kind, double x1, double y1, double x2, double y2) {
  return absl::StrCat("<line class=\"", kind, "\" x1=\"", At(x1), "\" y1=\"", At(y1), "\" x2=\"", At(x2), "\" y2=\"",
                      At(y2), "\"/>\n");
}

class Drawing {
 public:
  Drawing(const Prediction& prediction, const std::string& phase)
      : prediction_(prediction), phase_(phase), columns_(ColumnsOf(prediction, phase, kMostColumns)) {
    bottom_ = named() ? kHeight - 124 : kHeight - 52;
    int64_t highest = columns_.peak < 0 ? 0 : columns_.columns[columns_.peak].total_bytes;
    for (const MemoryColumns::Column& column : columns_.columns) highest = std::max(highest, column.end_bytes);
    const int64_t peak = highest;
    for (const BudgetVerdict& budget : prediction.budgets) {
      if (Drawn(budget, peak)) highest = std::max(highest, *budget.limit_bytes);
    }
    peak_bytes_ = peak;
    top_bytes_ = std::max(1.0, static_cast<double>(highest) * 1.08);  // room for what is written above a line
  }

  std::string Svg() {
    Head();
    if (columns_.instructions == 0) {
      out_ += Text(kWidth / 2.0, kHeight / 2.0, " text-anchor=\"middle\" class=\"md-soft\"",
                   absl::StrCat("No instructions of ", phase_, " were rehearsed."));
      return absl::StrCat(out_, "</svg>\n");
    }
    Legend();
    ByteAxis();
    Areas();
    MicroBatches();
    InstructionAxis();
    Budgets();
    Peak();
    return absl::StrCat(out_, "</svg>\n");
  }

 private:
  static bool Drawn(const BudgetVerdict& budget, int64_t peak) {
    return budget.limit_bytes.has_value() && static_cast<double>(*budget.limit_bytes) <= kMostAbove * peak;
  }

  bool named() const { return columns_.instructions <= kMostNamed; }
  double X(double instruction) const { return kLeft + (kRight - kLeft) * instruction / columns_.instructions; }
  double Y(double bytes) const { return bottom_ - (bottom_ - kTop) * bytes / top_bytes_; }
  const MemoryColumns::Column& highest() const { return columns_.columns[columns_.peak]; }

  void Head() {
    out_ = absl::StrCat("<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"md\" role=\"img\" width=\"", kWidth,
                        "\" height=\"", kHeight, "\" viewBox=\"0 0 ", kWidth, " ", kHeight, "\" data-phase=\"",
                        XmlText(phase_), "\" data-count=\"", columns_.instructions, "\" data-left=\"", kLeft,
                        "\" data-right=\"", kRight, "\" data-top=\"", kTop, "\" data-bottom=\"", bottom_, "\">\n");
    const std::string title = absl::StrCat("Predicted memory over ", phase_, ": ", prediction_.model);
    absl::StrAppend(&out_, "<title>", XmlText(title), "</title>\n<style>", kStyle, "</style>\n",
                    "<rect class=\"md-page\" width=\"", kWidth, "\" height=\"", kHeight, "\"/>\n");
    out_ += Text(kLeft, 24, " class=\"md-title\"", Shortened(title, 90));
    out_ += Text(kRight, 24, " class=\"md-soft\" text-anchor=\"end\"",
                 absl::StrCat("one of ", prediction_.world_size, prediction_.world_size == 1 ? " rank" : " ranks"));
  }

  void Legend() {
    double x = kLeft;
    const auto entry = [&](const std::string& mark, const std::string& text) {
      absl::StrAppend(&out_, "<g transform=\"translate(", At(x), " 44)\">", mark, "</g>\n");
      out_ += Text(x + 18, 54, "", text);
      x += 18 + kLetter * text.size() + 16;
    };
    for (const std::string& series : columns_.series) {
      entry(absl::StrCat("<rect width=\"12\" height=\"12\" fill=\"", ColourOf(series), "\"/>"), Shortened(series, 20));
    }
    entry("<line class=\"md-end\" x1=\"0\" y1=\"6\" x2=\"13\" y2=\"6\"/>", "held at an instruction's end");
  }

  // Four to eight lines at powers of two: numbers that stay whole in their unit.
  void ByteAxis() {
    int64_t step = 1;
    while (top_bytes_ / 8 > static_cast<double>(step)) step *= 2;
    int64_t unit = 1;
    const char* name = "B";
    for (const char* larger : {"KiB", "MiB", "GiB", "TiB", "PiB"}) {
      if (step < unit * 1024) break;
      unit *= 1024;
      name = larger;
    }
    for (int64_t bytes = 0; static_cast<double>(bytes) <= top_bytes_; bytes += step) {
      out_ += Line("md-grid", kLeft, Y(bytes), kRight, Y(bytes));
      out_ += Text(kLeft - 8, Y(bytes) + 4, " text-anchor=\"end\"",
                   bytes == 0 ? "0" : absl::StrCat(bytes / unit, " ", name));
    }
  }

  void Areas() {
    std::vector<int64_t> base(columns_.columns.size(), 0);
    for (size_t series = 0; series < columns_.series.size(); ++series) {
      std::string path = absl::StrCat("M", At(X(0)), " ", At(Y(base[0])));
      for (size_t c = 0; c < base.size(); ++c) {
        const MemoryColumns::Column& column = columns_.columns[c];
        absl::StrAppend(&path, "V", At(Y(base[c] + column.bytes[series])), "H", At(X(column.first + column.count)));
      }
      for (size_t c = base.size(); c-- > 0;) {
        absl::StrAppend(&path, "V", At(Y(base[c])), "H", At(X(columns_.columns[c].first)));
        base[c] += columns_.columns[c].bytes[series];
      }
      const std::string& name = columns_.series[series];
      absl::StrAppend(&out_, "<path class=\"md-area\" fill=\"", ColourOf(name), "\" d=\"", path, "Z\"><title>",
                      XmlText(name), "</title></path>\n");
    }
    std::string line = absl::StrCat("M", At(X(0)), " ", At(Y(columns_.columns[0].end_bytes)));
    for (const MemoryColumns::Column& column : columns_.columns) {
      absl::StrAppend(&line, "V", At(Y(column.end_bytes)), "H", At(X(column.first + column.count)));
    }
    absl::StrAppend(&out_, "<path class=\"md-end\" d=\"", line, "\"/>\n");
  }

  // A line where another micro-batch begins, unless there are too many of them to be told apart.
  void MicroBatches() {
    std::vector<int> begins;
    for (int i = 0; i < columns_.instructions; ++i) {
      const int micro = columns_.played[i]->micro_batch;
      if (micro != (i == 0 ? -1 : columns_.played[i - 1]->micro_batch)) begins.push_back(i);
    }
    if (begins.size() > kMostMicroBatches) return;
    for (const int i : begins) {
      out_ += Line("md-micro", X(i), kTop - 8, X(i), bottom_);
      const int micro = columns_.played[i]->micro_batch;
      if (micro >= 0) {
        out_ += Text(X(i) + 4, kTop - 2, " class=\"md-soft\"",
                     begins.size() > 8 ? absl::StrCat(micro) : absl::StrCat("micro-batch ", micro));
      }
    }
  }

  // Names under each instruction where there is room, otherwise their numbers, from 1.
  void InstructionAxis() {
    out_ += Line("md-axis", kLeft, bottom_, kRight, bottom_);
    out_ += Line("md-axis", kLeft, kTop, kLeft, bottom_);
    if (named()) {
      for (int i = 0; i < columns_.instructions; ++i) {
        const double x = X(i + 0.5);
        out_ += Text(x, bottom_ + 14,
                     absl::StrCat(" text-anchor=\"end\" transform=\"rotate(-35 ", At(x), " ", bottom_ + 14, ")\""),
                     Shortened(columns_.played[i]->label, 22));
      }
    } else {
      const int step = NiceStep(columns_.instructions);
      for (int number = step; number <= columns_.instructions; number += step) {
        out_ += Line("md-axis", X(number - 0.5), bottom_, X(number - 0.5), bottom_ + 5);
        out_ += Text(X(number - 0.5), bottom_ + 19, " text-anchor=\"middle\"", absl::StrCat(number));
      }
    }
    const int each = columns_.columns[0].count;
    out_ +=
        Text((kLeft + kRight) / 2.0, kHeight - 12, " text-anchor=\"middle\" class=\"md-soft\"",
             absl::StrCat("instructions of ", phase_, " in the order in which they are played: ", columns_.instructions,
                          each > 1 ? absl::StrCat(" (the highest of each ", each, " is drawn)") : ""));
  }

  // 1, 2 or 5 times a power of ten: at most 12 of them.
  static int NiceStep(int count) {
    for (int power = 1;; power *= 10) {
      for (const int factor : {1, 2, 5}) {
        if (count / (factor * power) <= 12) return factor * power;
      }
    }
  }

  void Budgets() {
    const bool peak_is_left = highest().highest * 2 < columns_.instructions;
    const double x = peak_is_left ? kRight - 6 : kLeft + 6;
    const std::string place =
        absl::StrCat(" class=\"md-budget-text md-halo\" text-anchor=\"", peak_is_left ? "end" : "start", "\"");
    double above = kTop + 14;
    for (const BudgetVerdict& budget : prediction_.budgets) {
      if (!budget.limit_bytes.has_value()) continue;
      const std::string name = absl::StrCat(budget.key, ": ", HumanByteSize(*budget.limit_bytes));
      if (Drawn(budget, peak_bytes_)) {
        out_ += Line("md-budget", kLeft, Y(*budget.limit_bytes), kRight, Y(*budget.limit_bytes));
        out_ += Text(x, Y(*budget.limit_bytes) - 6, place, name);
      } else {
        out_ += Text(x, above, place, absl::StrCat(name, " lies far above this drawing"));
        above += 16;
      }
    }
  }

  void Peak() {
    const InstructionPrediction& at = *columns_.played[highest().highest];
    const double x = X(highest().highest + 0.5), y = Y(highest().total_bytes);
    absl::StrAppend(&out_, "<circle class=\"md-peak\" cx=\"", At(x), "\" cy=\"", At(y), "\" r=\"5\"/>\n");
    std::string text = absl::StrCat("peak ", HumanByteSize(highest().total_bytes), ": ", Shortened(at.label, 48));
    if (at.micro_batch >= 0) absl::StrAppend(&text, ", micro-batch ", at.micro_batch);
    const bool left = highest().highest * 2 < columns_.instructions;
    out_ += Text(left ? x + 9 : x - 9, std::max(kTop + 12.0, y - 7),
                 absl::StrCat(" class=\"md-peak-text md-halo\" text-anchor=\"", left ? "start" : "end", "\""), text);
  }

  const Prediction& prediction_;
  const std::string& phase_;
  const MemoryColumns columns_;
  int bottom_ = 0;
  int64_t peak_bytes_ = 0;
  double top_bytes_ = 1.0;
  std::string out_;
};

}  // namespace

std::string MemoryDrawing(const Prediction& prediction, const std::string& phase) {
  return Drawing(prediction, phase).Svg();
}

}  // namespace stowage
