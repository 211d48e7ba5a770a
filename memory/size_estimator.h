// How many bytes a value holds: strings, arrays, nested lists and maps, and, with memory/tensor_size.h, tensors and
// LibTorch's c10::IValue.
//
//   SizeEstimator size;
//   size.Add(batch).Add(names);
//   absl::StatusOr<int64_t> bytes = size.bytes();
//
// What is counted is what was asked of an allocator on the value's behalf: capacity and not size, list nodes and hash
// tables with their links; each block once, however many values share it. Not counted: the value's own sizeof, the
// allocator's rounding, types and code.
//
// It walks the value, so it takes time in proportion to the number of its parts. Not thread-safe; nobody may change the
// value meanwhile.
#ifndef STOWAGE_MEMORY_SIZE_ESTIMATOR_H_
#define STOWAGE_MEMORY_SIZE_ESTIMATOR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace stowage {

class SizeEstimator;

// What a value of type T holds besides its own sizeof. Specialise it for types of yours:
//   static void Add(const T& value, SizeEstimator& size);
template <typename T, typename Enable = void>
struct Held;

class SizeEstimator {
 public:
  // Whatever has a Held<T>.
  template <typename T>
  SizeEstimator& Add(const T& value) {
    Held<T>::Add(value, *this);
    return *this;
  }

  // A block of an allocator. False: it was met before; then only the longer of both lengths counts.
  bool AddBlock(const void* block, int64_t bytes);
  // The one block of an object that does not tell where it is.
  bool AddBlockOf(const void* owner, int64_t bytes) {
    // An address where no block begins: the object itself may lie at the beginning of one.
    return AddBlock(static_cast<const char*>(owner) + 1, bytes);
  }

  // Of something whose bytes cannot be told: bytes() becomes this error, if it is the first.
  void Fail(const absl::Status& status);

  absl::StatusOr<int64_t> bytes() const;

 private:
  absl::Status status_;
  int64_t bytes_ = 0;
  std::unordered_map<const void*, int64_t> blocks_;
};

template <typename T>
absl::StatusOr<int64_t> SizeOf(const T& value) {
  return SizeEstimator().Add(value).bytes();
}

// ---- Templates only from here on

template <typename T>
struct Held<T, std::enable_if_t<std::is_arithmetic_v<T> || std::is_enum_v<T>>> {
  static void Add(const T&, SizeEstimator&) {}
};

template <>
struct Held<std::string> {
  static void Add(const std::string& value, SizeEstimator& size);
};

template <typename T>
struct Held<std::vector<T>> {
  static void Add(const std::vector<T>& value, SizeEstimator& size) {
    if (value.capacity() > 0) size.AddBlock(value.data(), static_cast<int64_t>(value.capacity() * sizeof(T)));
    if constexpr (!std::is_arithmetic_v<T>) {
      for (const T& element : value) size.Add(element);
    }
  }
};

template <>
struct Held<std::vector<bool>> {
  static void Add(const std::vector<bool>& value, SizeEstimator& size);
};

template <typename T, size_t n>
struct Held<std::array<T, n>> {
  static void Add(const std::array<T, n>& value, SizeEstimator& size) {
    for (const T& element : value) size.Add(element);
  }
};

template <typename A, typename B>
struct Held<std::pair<A, B>> {
  static void Add(const std::pair<A, B>& value, SizeEstimator& size) {
    size.Add<std::remove_const_t<A>>(value.first).Add(value.second);
  }
};

template <typename T>
struct Held<std::optional<T>> {
  static void Add(const std::optional<T>& value, SizeEstimator& size) {
    if (value.has_value()) size.Add(*value);
  }
};

// The C++ library's nodes, by its own types: an element and what links it.
template <typename K, typename V>
struct Held<std::map<K, V>> {
  static void Add(const std::map<K, V>& value, SizeEstimator& size) {
    for (const auto& element : value) {
      size.AddBlock(&element, sizeof(std::_Rb_tree_node<std::pair<const K, V>>));
      size.Add(element);
    }
  }
};

template <typename K, typename V>
struct Held<std::unordered_map<K, V>> {
  static void Add(const std::unordered_map<K, V>& value, SizeEstimator& size) {
    constexpr bool kKeepsHash = std::__cache_default<K, std::hash<K>>::value;
    for (const auto& element : value) {
      size.AddBlock(&element, sizeof(std::__detail::_Hash_node<std::pair<const K, V>, kKeepsHash>));
      size.Add(element);
    }
    // A table of one bucket lies in the map itself.
    if (value.bucket_count() > 1) {
      size.AddBlockOf(&value, static_cast<int64_t>(value.bucket_count() * sizeof(void*)));
    }
  }
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_SIZE_ESTIMATOR_H_
