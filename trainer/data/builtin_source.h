// Data that can be had by name: data.source.
//
// Texts, which a program prints:
//   kjv   The King James Bible, as Debian's `bible` (package bible-kjv) prints it: 31,102 verses, a line each, with the
//         place before it ("Ge1:1 In the beginning God created the heaven and the earth."), 4.4 MB of ASCII. Kept
//         just as printed: the places are part of what a model learns, and anyone can make the same bytes with
//         bible -f 'Gen1:1-Rev22:21'
//
// Images, which are files of a package:
//   fashion-mnist   Debian's dataset-fashion-mnist: 60,000 images of clothes to train on and 10,000 to validate, 28 x
//   28
//                   grey pixels in 10 classes. Xiao, Rasul and Vollgraf, "Fashion-MNIST", arXiv:1708.07747.
#ifndef STOWAGE_TRAINER_DATA_BUILTIN_SOURCE_H_
#define STOWAGE_TRAINER_DATA_BUILTIN_SOURCE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace stowage {

std::vector<std::string> BuiltinSourceNames();

// InvalidArgument: no such source; names the nearest and lists all.
absl::Status CheckBuiltinSource(const std::string& name);

bool IsBuiltinImages(const std::string& name);

// IDX files (samples/idx_file.h), {images, labels} each.
struct BuiltinImageFiles {
  std::vector<std::string> train;
  std::vector<std::string> validation;
};

// `name` is of built-in images. FailedPrecondition: the package is not installed (named).
absl::StatusOr<BuiltinImageFiles> FindBuiltinImages(const std::string& name);

// Writes the text to the file `path`. Runs the program that has it and waits (0.1 s for kjv).
// InvalidArgument: no such text. FailedPrecondition: the program is not installed (names the package).
// DataLoss: it failed or gave another text than expected.
absl::Status WriteBuiltinSource(const std::string& name, const std::string& path);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_BUILTIN_SOURCE_H_
