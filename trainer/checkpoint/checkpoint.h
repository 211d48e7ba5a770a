// Saved states of a training run: written aside, checked, renamed; never half there.
//
//   checkpoints/step-00000200/
//     manifest.json            format version, step, what a resume must match, and for each logical tensor its
//                              dtype, shape, files and byte ranges, with sizes and CRC-32C of every file
//     rank-00000.safetensors   tensors, 64-byte aligned
//     config.yaml              the resolved experiment
//
// A logical tensor is a parameter ("layer.3.attn.qkv.weight") or its optimizer state ("optimizer.exp_avg.<parameter>").
// Readers assemble it from ranges, so the way it was cut over ranks does not matter to them. The .safetensors files
// also open in the format's own reader.
//
// A save that fails (a full disk, say) leaves the older checkpoints whole and no folder that looks complete.
// Not thread-safe. Torch-free: it moves bytes.
#ifndef STOWAGE_TRAINER_CHECKPOINT_CHECKPOINT_H_
#define STOWAGE_TRAINER_CHECKPOINT_CHECKPOINT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/dtype.h"
#include "sharding/communicator.h"

namespace stowage {

inline constexpr int kCheckpointFormatVersion = 1;

// One contiguous piece of a logical tensor that this rank writes. `data` is borrowed for the call.
struct TensorPiece {
  std::string name;                 // logical tensor
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;       // of the whole logical tensor
  int64_t first_element = 0;        // row-major position of this piece
  int64_t numel = 0;                // of this piece; a whole tensor: the product of `shape`
  const void* data = nullptr;
};

// What is saved besides tensors, and what a resume is checked against. Texts so that any reader can show them.
struct CheckpointInfo {
  int64_t step = 0;                             // updates done
  std::map<std::string, std::string> must_match;  // name -> value; a resume with another value is refused
  std::map<std::string, std::string> noted;       // name -> value; a difference is said (bits cannot be promised)
  std::string config_yaml;
  std::string plan_json;
};

// Writes the pieces of all ranks as checkpoint `info.step` of `folder` (made if missing) and keeps the newest
// `keep` complete ones. Collective: all ranks call it and all get the same status; info counts on rank 0.
// Returns the finished checkpoint's path.
absl::StatusOr<std::string> SaveCheckpoint(Communicator& communicator, const std::string& folder,
                                           const CheckpointInfo& info, const std::vector<TensorPiece>& pieces,
                                           int64_t keep);

// A complete checkpoint, opened for reading by ranges. One process; no communicator.
class CheckpointReader {
 public:
  struct Tensor {
    DType dtype = DType::kFloat32;
    std::vector<int64_t> shape;
    int64_t numel = 0;
  };

  // NotFound: no such folder or no manifest. DataLoss: cut short, a file missing or of another size.
  // FailedPrecondition: written by a newer format (both versions named).
  static absl::StatusOr<CheckpointReader> Open(const std::string& path);

  const std::string& path() const { return path_; }
  const CheckpointInfo& info() const { return info_; }
  const std::map<std::string, Tensor>& tensors() const { return tensors_; }

  // Reads every file and compares checksums. DataLoss names the file.
  absl::Status Verify() const;

  // Elements [first, first + numel) of tensor `name`, row-major, into `to` (numel * DTypeBytes bytes).
  absl::Status Read(const std::string& name, int64_t first, int64_t numel, void* to) const;

 private:
  struct Range {
    std::string file;
    int64_t file_offset = 0;
    int64_t first = 0;
    int64_t numel = 0;
  };
  struct File {
    int64_t bytes = 0;
    uint32_t crc32c = 0;
  };
  std::string path_;
  CheckpointInfo info_;
  std::map<std::string, Tensor> tensors_;
  std::map<std::string, std::vector<Range>> ranges_;
  std::map<std::string, File> files_;
};

// The newest checkpoint of `folder` that is complete and passes Verify. Of each damaged one it passes over, one
// line is added to `said`. NotFound: none is left.
absl::StatusOr<CheckpointReader> OpenNewest(const std::string& folder, std::vector<std::string>* said);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CHECKPOINT_CHECKPOINT_H_
