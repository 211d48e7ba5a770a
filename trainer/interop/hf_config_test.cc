#include "trainer/interop/hf_config.h"

#include <map>

#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"

namespace stowage {
namespace {

constexpr char kGpt2[] = R"({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_layer": 12, "n_embd": 768,
  "n_head": 12, "n_positions": 1024, "vocab_size": 50257, "activation_function": "gelu_new",
  "layer_norm_epsilon": 1e-05, "n_ctx": 1024, "task_specific_params": {}})";
constexpr char kLlama[] = R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": 22,
  "hidden_size": 2048, "intermediate_size": 5632, "num_attention_heads": 32, "num_key_value_heads": 4,
  "max_position_embeddings": 2048, "vocab_size": 32000, "rms_norm_eps": 1e-05, "hidden_act": "silu",
  "rope_scaling": null, "tie_word_embeddings": false})";

std::map<std::string, std::string> Read(const std::string& text) {
  const auto settings = ParseHfConfig(text, "config.json");
  EXPECT_TRUE(settings.ok()) << settings.status();
  std::map<std::string, std::string> values;
  if (settings.ok()) {
    for (const HfSetting& setting : *settings) values[setting.key] = setting.value;
  }
  return values;
}

std::string Refusal(const std::string& text) {
  const auto settings = ParseHfConfig(text, "DIR/config.json");
  EXPECT_EQ(settings.status().code(), absl::StatusCode::kInvalidArgument) << settings.status();
  return std::string(settings.status().message());
}

std::string Changed(const std::string& text, const std::string& from, const std::string& to) {
  const std::string changed = absl::StrReplaceAll(text, {{from, to}});
  EXPECT_NE(changed, text);
  return changed;
}

void ExpectHolds(const std::string& message, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) EXPECT_NE(message.find(part), std::string::npos) << part << " in: " << message;
}

TEST(HfConfigTest, Gpt2sSizesBecomeOurKeys) {
  const std::map<std::string, std::string> expected = {
      {"model.kind", "gpt2"},      {"model.layers", "12"},       {"model.width", "768"}, {"model.heads", "12"},
      {"model.ffn", "3072"},       {"model.context", "1024"},    {"model.tie", "true"},  {"model.bias", "true"},
      {"model.norm_bias", "true"}, {"model.vocabulary", "50257"}};
  EXPECT_EQ(Read(kGpt2), expected);
}

TEST(HfConfigTest, LlamasSizesBecomeOurKeys) {
  const std::map<std::string, std::string> expected = {
      {"model.kind", "llama"},     {"model.layers", "22"},         {"model.width", "2048"},
      {"model.heads", "32"},       {"model.kv_heads", "4"},        {"model.context", "2048"},
      {"model.ffn", "5632"},       {"model.vocabulary", "32000"},  {"model.tie", "false"},
      {"model.norm_eps", "1e-05"}, {"model.rope_theta", "10000.0"}};
  EXPECT_EQ(Read(kLlama), expected);
}

TEST(HfConfigTest, RotaryBaseIsReadWhereEitherVersionPutsIt) {
  EXPECT_EQ(Read(Changed(kLlama, "\"rope_scaling\": null", "\"rope_theta\": 500000.0"))["model.rope_theta"],
            "500000.0");
  const std::string five = "\"rope_parameters\": {\"rope_theta\": 20000, \"rope_type\": \"default\"}";
  EXPECT_EQ(Read(Changed(kLlama, "\"rope_scaling\": null", five))["model.rope_theta"], "20000");
}

TEST(HfConfigTest, WhatIsNotJsonOrLacksAKeyIsNamed) {
  ExpectHolds(Refusal("{\"model_type\": "), {"DIR/config.json", "not JSON"});
  ExpectHolds(Refusal("[]"), {"DIR/config.json", "not JSON with one object"});
  ExpectHolds(Refusal(Changed(kGpt2, "n_embd", "n_embed")), {"DIR/config.json", "no n_embd", "gpt2"});
  ExpectHolds(Refusal(Changed(kLlama, "32000", "\"many\"")), {"vocab_size", "whole number", "\"many\""});
  ExpectHolds(Refusal(Changed(kLlama, "2048", "-3")), {"whole number of 1 or more", "-3"});
}

TEST(HfConfigTest, AnUnknownArchitectureIsNamedWithTheKnownOnes) {
  ExpectHolds(Refusal(R"({"architectures": ["MambaForCausalLM"], "model_type": "mamba"})"),
              {"MambaForCausalLM", "GPT2LMHeadModel", "LlamaForCausalLM"});
  ExpectHolds(Refusal("{}"), {"no model_type", "gpt2"});
  ExpectHolds(Refusal(Changed(kGpt2, "GPT2LMHeadModel", "GPT2ForSequenceClassification")),
              {"GPT2ForSequenceClassification"});
}

TEST(HfConfigTest, WhatWouldComputeSomethingElseIsRefused) {
  ExpectHolds(Refusal(Changed(kGpt2, "gelu_new", "relu")), {"activation_function", "relu", "gelu_new"});
  ExpectHolds(Refusal(Changed(kGpt2, "1e-05", "1e-06")), {"layer_norm_epsilon", "1e-06"});
  ExpectHolds(Refusal(Changed(kGpt2, "\"n_ctx\": 1024", "\"scale_attn_by_inverse_layer_idx\": true")),
              {"scale_attn_by_inverse_layer_idx"});
  ExpectHolds(Refusal(Changed(kLlama, "\"rope_scaling\": null",
                              "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0}")),
              {"rope_scaling", "llama3"});
  ExpectHolds(Refusal(Changed(kLlama, "\"rope_scaling\": null", "\"attention_bias\": true")), {"attention_bias"});
  ExpectHolds(Refusal(Changed(kLlama, "\"rope_scaling\": null", "\"head_dim\": 128")), {"head_dim", "128"});
}

}  // namespace
}  // namespace stowage
