// The safetensors file format: named tensors, one JSON header, raw little-endian bytes.
//
//   8 bytes   length of the header, unsigned little-endian
//   header    {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...,
//              "__metadata__": {"key": "text"}}, padded with spaces
//   data      offsets count from here; tensors follow each other without holes
//
// The header is padded so that data starts at a multiple of 64 bytes. As the format allows no holes between tensors,
// the writer orders them by the largest power of two that divides their size: a tensor whose size divides by 64 then
// starts at 64 bytes, and every tensor at least at a multiple of its element size.
//
// Source: https://github.com/huggingface/safetensors, README section "Format"; its reader opens what is written here.
// Torch-free. Not thread-safe, except SafetensorsReader's const methods.
#ifndef STOWAGE_TRAINER_CHECKPOINT_SAFETENSORS_H_
#define STOWAGE_TRAINER_CHECKPOINT_SAFETENSORS_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/dtype.h"
#include "base/file.h"

namespace stowage {

struct SafetensorsTensor {
  std::string name;
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;  // row-major
  int64_t file_offset = 0;     // of its first byte, from the start of the file; set by writer and reader
  int64_t bytes = 0;           // set by writer and reader
};

// Writes a file whose tensors are all known beforehand, streaming: no byte of data is copied or kept.
class SafetensorsWriter {
 public:
  // Makes the file and writes its header.
  // InvalidArgument: a name twice, empty, "__metadata__" or not UTF-8; a negative dimension; more than 2^63 bytes.
  static absl::StatusOr<SafetensorsWriter> Create(const std::string& path, std::vector<SafetensorsTensor> tensors,
                                                  const std::map<std::string, std::string>& metadata);

  // As given to Create, offsets and sizes filled in.
  const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }
  // Indices into tensors(), in the order in which their data must come.
  const std::vector<size_t>& order() const { return order_; }

  // The next `bytes` bytes of data, cut anywhere.
  absl::Status Append(const void* data, int64_t bytes);

  // Syncs and closes. All data must have come.
  absl::Status Finish();

  int64_t file_bytes() const { return file_.bytes(); }
  uint32_t crc32c() const { return crc32c_; }  // of all bytes written so far, header included

 private:
  explicit SafetensorsWriter(OutputFile file) : file_(std::move(file)) {}
  OutputFile file_;
  std::vector<SafetensorsTensor> tensors_;
  std::vector<size_t> order_;
  int64_t end_ = 0;  // bytes of the finished file
  uint32_t crc32c_ = 0;
};

// Reads any safetensors file, by ranges. The header is checked whole before anything is believed.
class SafetensorsReader {
 public:
  // DataLoss names file and fault: a header longer than the file or 100 MB (the format's limit), bad JSON, an unknown
  // dtype, offsets that leave the file, overlap, leave holes, or do not fit the shape.
  static absl::StatusOr<SafetensorsReader> Open(const std::string& path);

  const std::map<std::string, SafetensorsTensor>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  // Elements [first, first + numel) of tensor `name` into `to` (numel * DTypeBytes bytes).
  // NotFound: no such tensor. OutOfRange: it has fewer elements.
  absl::Status Read(const std::string& name, int64_t first, int64_t numel, void* to) const;

 private:
  explicit SafetensorsReader(InputFile file) : file_(std::move(file)) {}
  InputFile file_;
  std::map<std::string, SafetensorsTensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CHECKPOINT_SAFETENSORS_H_
