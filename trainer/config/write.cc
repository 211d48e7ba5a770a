// Config to YAML, and where two differ.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "trainer/config/load.h"
#include "trainer/config/schema.h"

namespace stowage {

std::string ConfigToYaml(const Config& config) {
  std::string out =
      "# A Stowage experiment with every key written. docs/config.md and `stowage config --keys` explain them.\n";
  std::vector<std::string> open;  // the sections that the last line stood in
  for (const Field& field : Fields()) {
    const std::vector<std::string> parts = absl::StrSplit(field.key, '.');
    size_t depth = 0;
    while (depth < open.size() && depth + 1 < parts.size() && open[depth] == parts[depth]) ++depth;
    open.resize(depth);
    for (; depth + 1 < parts.size(); ++depth) {
      open.push_back(parts[depth]);
      const std::string indent(2 * depth, ' ');
      const Section* section = FindSection(absl::StrJoin(open, "."));
      absl::StrAppend(&out, depth == 0 ? "\n" : "", indent, "# ", section->sentence, "\n", indent, parts[depth], ":\n");
    }
    if (open.empty()) absl::StrAppend(&out, "\n");
    absl::StrAppend(&out, std::string(2 * depth, ' '), parts.back(), ": ", field.write(config), "\n");
  }
  return out;
}

std::vector<std::string> ConfigDifferences(const Config& here, const Config& there) {
  std::vector<std::string> differences;
  for (const Field& field : Fields()) {
    const std::string mine = field.write(here);
    const std::string theirs = field.write(there);
    if (mine != theirs) differences.push_back(absl::StrCat(field.key, ": ", mine, " here, ", theirs, " there"));
  }
  return differences;
}

}  // namespace stowage
