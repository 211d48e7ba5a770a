// Texts that can be had by name: data.source.
//
//   kjv   The King James Bible, as Debian's `bible` (package bible-kjv) prints it: 31,102 verses, a line each, with the
//         place before it ("Ge1:1 In the beginning God created the heaven and the earth."), 4.4 MB of ASCII. Kept
//         just as printed: the places are part of what a model learns, and anyone can make the same bytes with
//         bible -f 'Gen1:1-Rev22:21'
#ifndef STOWAGE_TRAINER_DATA_BUILTIN_SOURCE_H_
#define STOWAGE_TRAINER_DATA_BUILTIN_SOURCE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace stowage {

std::vector<std::string> BuiltinSourceNames();

// InvalidArgument: no such source; names the nearest and lists all.
absl::Status CheckBuiltinSource(const std::string& name);

// Writes the text to the file `path`. Runs the program that has it and waits (0.1 s for kjv).
// InvalidArgument: no such source. FailedPrecondition: the program is not installed (names the package).
// DataLoss: it failed or gave another text than expected.
absl::Status WriteBuiltinSource(const std::string& name, const std::string& path);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_BUILTIN_SOURCE_H_
