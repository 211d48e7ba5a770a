#include "memory/label.h"

#include <deque>
#include <mutex>
#include <unordered_map>

namespace stowage {
namespace {

struct Table {
  std::mutex mu;
  std::deque<std::string> texts = {""};  // by id
  std::unordered_map<std::string, uint32_t> ids = {{"", 0}};
};

// Never destroyed: blocks may be freed, and named in an error, while the process ends.
Table& TheTable() {
  static Table* const table = new Table;
  return *table;
}

}  // namespace

Label::Label(absl::string_view text) {
  Table& table = TheTable();
  const std::lock_guard<std::mutex> lock(table.mu);
  const auto [entry, is_new] = table.ids.try_emplace(std::string(text), static_cast<uint32_t>(table.texts.size()));
  if (is_new) table.texts.emplace_back(text);
  id_ = entry->second;
}

std::string Label::text() const {
  if (id_ == 0) return "";
  Table& table = TheTable();
  const std::lock_guard<std::mutex> lock(table.mu);
  return table.texts[id_];
}

}  // namespace stowage
