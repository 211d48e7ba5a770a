// One file in the IDX format, plain or compressed by gzip: an array of unsigned bytes of any number of dimensions.
//
//   bytes 0-1    0
//   byte 2       element type; 0x08, unsigned byte, is the one that is read
//   byte 3       number of dimensions d, 1 to 4
//   4 d bytes    the dimensions, 32 bits each, big-endian
//   the rest     the elements, row-major; nothing after them
//
// Source: Y. LeCun, "The MNIST database of handwritten digits", section "File formats".
#ifndef STOWAGE_TRAINER_DATA_SAMPLES_IDX_FILE_H_
#define STOWAGE_TRAINER_DATA_SAMPLES_IDX_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace stowage {

// Plain data, held whole: 47 MB for Fashion-MNIST's training images.
struct IdxArray {
  std::vector<int64_t> shape;
  std::vector<uint8_t> elements;  // [product of shape]
};

// Reads the whole file. NotFound and the like: cannot be opened. InvalidArgument: no IDX file, or of another element
// type. DataLoss: cut short, longer than its header says, or its compression is damaged. A header that promises more
// than the file holds costs no more memory than the file's contents.
absl::StatusOr<IdxArray> ReadIdxFile(const std::string& path);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_SAMPLES_IDX_FILE_H_
