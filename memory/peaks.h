// Most bytes held at once during some stretch of time, per category and place, and in all of a place. Plain data.
#ifndef STOWAGE_MEMORY_PEAKS_H_
#define STOWAGE_MEMORY_PEAKS_H_

#include <algorithm>
#include <array>
#include <cstdint>

#include "memory/category.h"
#include "memory/place.h"

namespace stowage {

struct PlacePeaks {
  std::array<int64_t, kCategories> categories{};  // by Category
  int64_t total = 0;                              // of the sum, not the sum of the peaks

  int64_t operator[](Category category) const { return categories[static_cast<int>(category)]; }
  void Raise(const PlacePeaks& other) {
    for (int c = 0; c < kCategories; ++c) categories[c] = std::max(categories[c], other.categories[c]);
    total = std::max(total, other.total);
  }
};

struct Peaks {
  std::array<PlacePeaks, kPlaces> places;  // by Place

  const PlacePeaks& operator[](Place place) const { return places[static_cast<int>(place)]; }
  const PlacePeaks& host() const { return (*this)[Place::kHost]; }
  // To the greater of both, each number by itself: the peaks of two stretches of time together.
  void Raise(const Peaks& other) {
    for (int p = 0; p < kPlaces; ++p) places[p].Raise(other.places[p]);
  }
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_PEAKS_H_
