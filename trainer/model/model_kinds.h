// From `model.kind` to a model: the kinds that are built in, and those that a program adds.
#ifndef STOWAGE_TRAINER_MODEL_MODEL_KINDS_H_
#define STOWAGE_TRAINER_MODEL_MODEL_KINDS_H_

#include <functional>
#include <map>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/statusor.h"
#include "trainer/config/config.h"
#include "trainer/model/segment.h"

namespace stowage {

// `config` is resolved: what the data decides (vocabulary, input, outputs) is set. InvalidArgument: sizes that make no
// such model; the message names the key.
using ModelFactory = std::function<absl::StatusOr<Model>(const ModelConfig& config)>;

// One kind: its factory and, for a kind of a program's own, what may stand under model.options, with the defaults. A
// value in a config must be of its default's type (a whole number also stands for a number).
//   ModelKind kind(MakeNet, {{"depth", 3}, {"rate", 0.1}, {"norm", "group"}, {"skip", true}});
struct ModelKind {
  // Spelled so that 3 is a whole number and "group" a text; a bare OptionValue would have several ways to read them.
  struct Default {
    template <typename T, typename = std::enable_if_t<std::is_arithmetic_v<T>>>
    Default(T v) : value(Typed(v)) {}
    Default(const char* v) : value(std::string(v)) {}
    Default(std::string v) : value(std::move(v)) {}
    OptionValue value;

   private:
    template <typename T>
    static OptionValue Typed(T v) {
      if constexpr (std::is_same_v<T, bool>) {
        return OptionValue(v);
      } else if constexpr (std::is_integral_v<T>) {
        return OptionValue(static_cast<int64_t>(v));
      } else {
        return OptionValue(static_cast<double>(v));
      }
    }
  };

  ModelKind() = default;
  template <typename Factory, typename = std::enable_if_t<std::is_invocable_v<Factory, const ModelConfig&>>>
  ModelKind(Factory factory, const std::map<std::string, Default>& defaults = {}) : make(std::move(factory)) {
    for (const auto& [name, standard] : defaults) options[name] = standard.value;
  }

  ModelFactory make;
  ModelOptions options;
};
using ModelKinds = std::map<std::string, ModelKind>;

// An option in a factory: Option<int64_t>(config, "depth"). T: bool, int64_t, double or std::string, the type of the
// declared default. A resolved config has every declared option: asking for another one, or for another type, is a bug.
template <typename T>
const T& Option(const ModelConfig& config, const std::string& name) {
  return std::get<T>(config.options.at(name));
}

// gpt2, llama, mlp, cnn, rnn.
ModelKinds BuiltInModelKinds();

// InvalidArgument: no such kind; names those there are. `config` is resolved.
absl::StatusOr<Model> MakeModel(const ModelKinds& kinds, const ModelConfig& config);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_MODEL_MODEL_KINDS_H_
