// Calling the forward of any torch::nn module with tensors that are known at run time.
//
// What forward may look like (the first that fits is taken; default arguments count as left out):
//
//   Tensor... -> R                 as many tensors as the segment before gives, up to four
//   Tensor..., const Batch& -> R   and the micro-batch (masks, positions, targets)
//   const std::vector<Tensor>& -> R, with or without const Batch&
//
// R is a Tensor, a std::vector of them, or tuples of these; tuples are flattened in order.
#ifndef STOWAGE_TRAINER_MODULE_MODULE_CALL_H_
#define STOWAGE_TRAINER_MODULE_MODULE_CALL_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "trainer/data/batch.h"

namespace stowage::module_call {

using Tensors = std::vector<at::Tensor>;

// Flatten(value, &tensors) appends.
inline void Flatten(at::Tensor tensor, Tensors* out) { out->push_back(std::move(tensor)); }
inline void Flatten(Tensors tensors, Tensors* out) {
  for (at::Tensor& tensor : tensors) out->push_back(std::move(tensor));
}
template <typename... T>
void Flatten(const std::tuple<T...>& tuple, Tensors* out);
template <typename... T>
void Flatten(const std::tuple<T...>& tuple, Tensors* out) {
  std::apply([out](const auto&... part) { (Flatten(part, out), ...); }, tuple);
}

template <typename Void, typename M, typename... A>
struct TakesImpl : std::false_type {};
template <typename M, typename... A>
struct TakesImpl<std::void_t<decltype(std::declval<M&>().forward(std::declval<A>()...))>, M, A...> : std::true_type {};
template <typename M, typename... A>
inline constexpr bool kTakes = TakesImpl<void, M, A...>::value;

template <typename M, typename... A>
Tensors Call(M& module, A&&... arguments) {
  Tensors out;
  Flatten(module.forward(std::forward<A>(arguments)...), &out);
  return out;
}

// sizeof...(I) tensors, with the batch if forward wants it. False: it takes neither.
template <typename M, size_t... I>
bool CallWith(M& module, const Tensors& inputs, const Batch& batch, std::index_sequence<I...>, Tensors* out) {
  if constexpr (kTakes<M, std::conditional_t<true, at::Tensor, decltype(I)>...>) {
    *out = Call(module, at::Tensor(inputs[I])...);
  } else if constexpr (kTakes<M, std::conditional_t<true, at::Tensor, decltype(I)>..., const Batch&>) {
    *out = Call(module, at::Tensor(inputs[I])..., batch);
  } else {
    return false;
  }
  return true;
}

// Throws std::invalid_argument if no form takes that many tensors, and what forward throws.
template <typename M>
Tensors Forward(M& module, const Tensors& inputs, const Batch& batch) {
  Tensors out;
  switch (inputs.size()) {
    case 0:
      if constexpr (kTakes<M, const Batch&>) return Call(module, batch);
      break;
    case 1:
      if (CallWith(module, inputs, batch, std::make_index_sequence<1>(), &out)) return out;
      break;
    case 2:
      if (CallWith(module, inputs, batch, std::make_index_sequence<2>(), &out)) return out;
      break;
    case 3:
      if (CallWith(module, inputs, batch, std::make_index_sequence<3>(), &out)) return out;
      break;
    case 4:
      if (CallWith(module, inputs, batch, std::make_index_sequence<4>(), &out)) return out;
      break;
    default:
      break;
  }
  if constexpr (kTakes<M, const Tensors&>) {
    return Call(module, inputs);
  } else if constexpr (kTakes<M, const Tensors&, const Batch&>) {
    return Call(module, inputs, batch);
  }
  throw std::invalid_argument("its module's forward does not take " + std::to_string(inputs.size()) + " tensors");
}

}  // namespace stowage::module_call

#endif  // STOWAGE_TRAINER_MODULE_MODULE_CALL_H_
