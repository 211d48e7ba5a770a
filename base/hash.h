// Keys for everything that looks random: a pure function of what it is for, never of a running state.
//
// Random numbers are keyed by (seed, step, index of the micro-batch, segment); sample order by (seed, epoch);
// initial values by (seed, parameter name). The mixer is SplitMix64's finaliser (Steele, Lea, Flood, "Fast
// splittable pseudorandom number generators", OOPSLA 2014): every input bit changes half the output bits.
// Thread-safe: no state.
#ifndef STOWAGE_BASE_HASH_H_
#define STOWAGE_BASE_HASH_H_

#include <cstdint>
#include <initializer_list>

#include "absl/strings/string_view.h"

namespace stowage {

// SplitMix64's output function: a bijection of 64 bits.
inline uint64_t Mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

// One key out of several words, order mattering.
inline uint64_t HashKey(std::initializer_list<uint64_t> words) {
  uint64_t h = 0;
  for (uint64_t w : words) h = Mix64(h ^ Mix64(w));
  return h;
}

// FNV-1a, mixed: stable over machines and versions, for names.
inline uint64_t HashName(absl::string_view name) {
  uint64_t h = 0xcbf29ce484222325ULL;
  for (char c : name) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return Mix64(h);
}

}  // namespace stowage

#endif  // STOWAGE_BASE_HASH_H_
