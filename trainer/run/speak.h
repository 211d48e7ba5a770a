// How the program speaks: results on stdout, trouble on stderr, one line, by one rank.
#ifndef STOWAGE_TRAINER_RUN_SPEAK_H_
#define STOWAGE_TRAINER_RUN_SPEAK_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace stowage {

// True without a launcher, and on the launcher's rank 0. For what is said before or without a communicator.
bool IsFirstRank();

// "stowage: <message>" on stderr, in one line.
void Complain(absl::string_view message);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_SPEAK_H_
