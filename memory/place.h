// Where a tensor's bytes lie. Every byte is entered under exactly one place, beside its category.
#ifndef STOWAGE_MEMORY_PLACE_H_
#define STOWAGE_MEMORY_PLACE_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace stowage {

enum class Place : uint8_t {
  kDevice,  // a GPU's memory
  kHost,    // this machine's memory
  kDisk,    // files that hold what did not fit above
};

inline constexpr int kPlaces = 3;

// device, host, disk: as in configs and reports.
constexpr absl::string_view PlaceName(Place place) {
  switch (place) {
    case Place::kDevice:
      return "device";
    case Place::kHost:
      return "host";
    case Place::kDisk:
      return "disk";
  }
  return "?";
}

}  // namespace stowage

#endif  // STOWAGE_MEMORY_PLACE_H_
