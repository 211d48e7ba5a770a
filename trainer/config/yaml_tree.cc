#include "trainer/config/yaml_tree.h"

#include <cstddef>
#include <map>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "yaml-cpp/eventhandler.h"
#include "yaml-cpp/exceptions.h"
#include "yaml-cpp/mark.h"
#include "yaml-cpp/parser.h"

namespace stowage {
namespace {

// A config has some hundred values. The bound is for aliases of aliases, which grow as a power ("billion laughs").
constexpr size_t kMaxNodes = 100000;

size_t CountNodes(const YamlNode& node) {
  size_t count = 1;
  for (const YamlNode& item : node.items) count += CountNodes(item);
  for (const auto& entry : node.entries) count += CountNodes(entry.second);
  return count;
}

// Events of yaml-cpp's parser in, a tree out. The first error is kept and the rest of the text ignored.
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(const std::string& name) : name_(name) {}

  const absl::Status& status() const { return status_; }
  YamlNode TakeRoot() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Finish(New(YamlNode::Kind::kNull, mark), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      Fail(ToPlace(mark), "an alias that refers to what it stands in");
      return;
    }
    YamlNode copy = found->second;
    copy.key_place = Place();
    nodes_ += CountNodes(copy);
    Finish(std::move(copy), 0);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode node = New(YamlNode::Kind::kScalar, mark);
    node.text = value;
    node.quoted = tag == "!";  // how yaml-cpp marks what is not plain; an explicit tag changes nothing here
    Finish(std::move(node), anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open_.push_back({New(YamlNode::Kind::kList, mark), anchor});
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open_.push_back({New(YamlNode::Kind::kMap, mark), anchor});
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Open {
    YamlNode node;
    YAML::anchor_t anchor = 0;
    bool has_key = false;  // of a map: a key waits for its value
    std::string key;
    Place key_place;
  };

  Place ToPlace(const YAML::Mark& mark) const { return {name_, mark.line + 1, mark.column + 1}; }

  YamlNode New(YamlNode::Kind kind, const YAML::Mark& mark) {
    ++nodes_;
    YamlNode node;
    node.kind = kind;
    node.place = ToPlace(mark);
    return node;
  }

  void Fail(const Place& place, absl::string_view message) {
    if (status_.ok()) status_ = ErrorAt(place, message);
  }

  void Close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    Finish(std::move(done.node), done.anchor);
  }

  // `node` is whole: it becomes the root, an item, a key, or the value of the key that waits.
  void Finish(YamlNode node, YAML::anchor_t anchor) {
    if (nodes_ > kMaxNodes) Fail(node.place, absl::StrCat("more than ", kMaxNodes, " values: this is no config"));
    if (!status_.ok()) {
      if (!open_.empty()) open_.back().has_key = !open_.back().has_key;
      return;
    }
    if (anchor != 0) anchors_[anchor] = node;
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == YamlNode::Kind::kList) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.has_key) {
      TakeKey(parent, node);
    } else {
      node.key_place = parent.key_place;
      parent.node.entries.emplace_back(std::move(parent.key), std::move(node));
      parent.has_key = false;
    }
  }

  void TakeKey(Open& map, const YamlNode& key) {
    map.has_key = true;
    if (key.kind != YamlNode::Kind::kScalar || key.text.empty()) {
      Fail(key.place, absl::StrCat("a key must be a word, found ", key.Describe()));
      return;
    }
    if (const YamlNode* first = map.node.Find(key.text)) {
      Fail(key.place,
           absl::StrCat("\"", key.text, "\" stands here a second time; the first is at ", first->key_place.ToString()));
      return;
    }
    map.key = key.text;
    map.key_place = key.place;
  }

  const std::string& name_;
  absl::Status status_;
  YamlNode root_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, YamlNode> anchors_;
  size_t nodes_ = 0;
};

}  // namespace

std::string Place::ToString() const { return line == 0 ? file : absl::StrCat(file, ":", line, ":", column); }

const YamlNode* YamlNode::Find(absl::string_view key) const {
  for (const auto& entry : entries) {
    if (entry.first == key) return &entry.second;
  }
  return nullptr;
}

void YamlNode::Erase(absl::string_view key) {
  for (auto it = entries.begin(); it != entries.end(); ++it) {
    if (it->first == key) {
      entries.erase(it);
      return;
    }
  }
}

std::string YamlNode::Describe() const {
  switch (kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kScalar:
      return quoted ? absl::StrCat("\"", text, "\"") : text;
    case Kind::kList:
      return "a list";
    case Kind::kMap:
      return "a map";
  }
  return "?";
}

absl::Status ErrorAt(const Place& place, absl::string_view message) {
  return absl::InvalidArgumentError(absl::StrCat(place.ToString(), ": ", message));
}

absl::StatusOr<YamlNode> ParseYaml(const std::string& text, const std::string& name) {
  std::istringstream in(text);
  TreeBuilder builder(name);
  try {
    YAML::Parser parser(in);
    if (!parser.HandleNextDocument(builder)) return YamlNode{YamlNode::Kind::kNull, {name, 1, 1}};
    if (!builder.status().ok()) return builder.status();
    YamlNode root = builder.TakeRoot();
    TreeBuilder second(name);
    if (parser.HandleNextDocument(second)) {
      return ErrorAt(second.TakeRoot().place, "a second document begins; a config is one document");
    }
    return root;
  } catch (const YAML::Exception& error) {
    // An error of our own further up is the first thing wrong with the text.
    if (!builder.status().ok()) return builder.status();
    return ErrorAt({name, error.mark.line + 1, error.mark.column + 1}, absl::StrCat("not valid YAML: ", error.msg));
  }
}

void MergeInto(YamlNode& base, const YamlNode& over) {
  if (base.kind != YamlNode::Kind::kMap || over.kind != YamlNode::Kind::kMap) {
    base = over;
    return;
  }
  for (const auto& [key, value] : over.entries) {
    YamlNode* mine = const_cast<YamlNode*>(base.Find(key));  // of our own tree
    if (mine == nullptr) {
      base.entries.emplace_back(key, value);
    } else {
      MergeInto(*mine, value);
    }
  }
}

}  // namespace stowage
