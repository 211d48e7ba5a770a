// The memory profile of one step: where it starts, where it is at its most, and which instructions take it there.
//
// From a rehearsal: what memory.trace writes down of a real step, before there is one. Pure; thread-safe.
#ifndef STOWAGE_TRAINER_BREAKDOWN_PROFILE_H_
#define STOWAGE_TRAINER_BREAKDOWN_PROFILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/plan/prediction.h"

namespace stowage {

// One instruction, by what it holds at its most beyond what the step started with.
struct ProfileRow {
  int number = 0;  // from 1, in the order in which the phase is played
  std::string label;
  int64_t peak_bytes = 0;
  int64_t rise_bytes = 0;    // peak, less the start
  int64_t change_bytes = 0;  // held at its end, less held at its beginning
};

struct MemoryProfile {
  int64_t start_bytes = 0;  // held when the phase begins: what the instruction before it left
  int64_t peak_bytes = 0;   // of the phase
  std::vector<ProfileRow> timeline;
  std::string recompute;       // the policy: "none"
  int64_t recomputations = 0;  // segments that the phase runs forward again

  int64_t rise_bytes() const { return peak_bytes - start_bytes; }
};

// Of `phase` ("step"); `top` instructions with the highest rise, in the order in which they are played. Empty where the
// prediction has no instruction of that phase.
MemoryProfile ProfileOf(const Prediction& prediction, const std::string& phase, int top = 20);

// For a terminal; says so if there is nothing to show.
std::vector<std::string> ProfileLines(const MemoryProfile& profile);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_BREAKDOWN_PROFILE_H_
