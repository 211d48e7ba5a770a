#include "trainer/config/yaml_tree.h"

#include <string>

#include "gtest/gtest.h"

namespace stowage {
namespace {

YamlNode Parse(const std::string& text, const std::string& name = "f.yaml") {
  auto node = ParseYaml(text, name);
  EXPECT_TRUE(node.ok()) << node.status();
  return node.ok() ? *node : YamlNode();
}

TEST(YamlTreeTest, EveryValueAndKeyKnowsItsPlace) {
  const YamlNode root = Parse("a:\n  b: [1,\n    \"x\"]\n");
  const YamlNode* a = root.Find("a");
  ASSERT_NE(a, nullptr);
  const YamlNode* b = a->Find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->key_place.ToString(), "f.yaml:2:3");
  EXPECT_EQ(b->place.ToString(), "f.yaml:2:6");
  ASSERT_EQ(b->items.size(), 2u);
  EXPECT_FALSE(b->items[0].quoted);
  EXPECT_TRUE(b->items[1].quoted);
  EXPECT_EQ(b->items[1].place.ToString(), "f.yaml:3:5");
}

TEST(YamlTreeTest, MergingKeepsTheWinnersPlace) {
  YamlNode base = Parse("a: {x: 1, y: 2}\nl: [1, 2]\n", "base.yaml");
  MergeInto(base, Parse("\na: {y: 3, z: 4}\nl: [5]\n", "top.yaml"));
  EXPECT_EQ(base.Find("a")->Find("x")->place.ToString(), "base.yaml:1:8");
  EXPECT_EQ(base.Find("a")->Find("y")->text, "3");
  EXPECT_EQ(base.Find("a")->Find("y")->place.ToString(), "top.yaml:2:8");
  EXPECT_EQ(base.Find("a")->Find("z")->text, "4");
  EXPECT_EQ(base.Find("l")->items.size(), 1u);
}

TEST(YamlTreeTest, AnEmptyTextIsNothing) {
  EXPECT_EQ(Parse("").kind, YamlNode::Kind::kNull);
  EXPECT_EQ(Parse("# only a comment\n").kind, YamlNode::Kind::kNull);
  EXPECT_EQ(Parse("---\n").kind, YamlNode::Kind::kNull);
}

TEST(YamlTreeTest, TheFirstOfTwoErrorsIsTold) {
  const auto node = ParseYaml("a: 1\na: 2\nb: [\n", "f.yaml");
  EXPECT_EQ(node.status().message(), "f.yaml:2:1: \"a\" stands here a second time; the first is at f.yaml:1:1");
}

}  // namespace
}  // namespace stowage
