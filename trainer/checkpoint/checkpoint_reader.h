// A complete checkpoint, read by ranges: logical tensors, however they were cut over files.
//
// One process; no communicator. Where ranks on several hosts read, the folder must be on a file system that all see.
// The manifest is checked whole when it is opened; contents only by Verify, which reads every byte.
// Torn writes cannot look complete: the folder gets its name after everything in it is on disk.
// Torch-free. Copies share nothing and cost the manifest. Const methods are thread-safe.
#ifndef STOWAGE_TRAINER_CHECKPOINT_CHECKPOINT_READER_H_
#define STOWAGE_TRAINER_CHECKPOINT_CHECKPOINT_READER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/dtype.h"
#include "trainer/checkpoint/manifest.h"

namespace stowage {

class CheckpointReader {
 public:
  struct Tensor {
    DType dtype = DType::kFloat32;
    std::vector<int64_t> shape;
    int64_t numel = 0;
  };

  // NotFound: no such folder or no manifest. DataLoss: cut short, a file missing or of another size.
  // FailedPrecondition: written in another format version (both versions named).
  static absl::StatusOr<CheckpointReader> Open(const std::string& path);

  const std::string& path() const { return path_; }
  const CheckpointInfo& info() const { return info_; }
  const std::map<std::string, Tensor>& tensors() const { return tensors_; }
  int world_size() const { return world_size_; }  // that wrote it

  // Reads every file and compares checksums. DataLoss names the file.
  absl::Status Verify() const;

  // Elements [first, first + numel) of tensor `name`, row-major, into `to` (numel * DTypeBytes bytes).
  // NotFound: no such tensor. OutOfRange: it has fewer elements. DataLoss: a file has shrunk since Open.
  absl::Status Read(const std::string& name, int64_t first, int64_t numel, void* to) const;

 private:
  std::string path_;
  CheckpointInfo info_;
  int world_size_ = 1;
  std::map<std::string, Tensor> tensors_;
  std::map<std::string, std::vector<Manifest::Range>> ranges_;  // of each tensor, by `first`
  std::map<std::string, Manifest::File> files_;
};

// Whether the checkpoint holds the tensors `expected`, with their dtypes and shapes, and no others.
// FailedPrecondition lists the first few differences: it is of another model.
absl::Status CheckSameTensors(const CheckpointReader& reader,
                              const std::map<std::string, CheckpointReader::Tensor>& expected);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CHECKPOINT_CHECKPOINT_READER_H_
