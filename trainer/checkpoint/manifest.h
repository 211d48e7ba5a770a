// What a checkpoint's manifest.json says: which bytes of which files make up which tensor.
//
//   {"format": "stowage-checkpoint", "format_version": 1, "step": 200, "world_size": 2,
//    "must_match": {"model.layers": "6", ...}, "noted": {"threads": "2", ...}, "state": {"micro_batch": "4", ...},
//    "files": {"rank-00000.safetensors": {"bytes": 1234, "crc32c": "e3069283"}, "config.yaml": {...}, ...},
//    "tensors": {"layer.0.attn.qkv.weight": {"dtype": "F32", "shape": [384, 1152],
//                "ranges": [{"file": "rank-00000.safetensors", "offset": 4096, "first": 0, "numel": 442368}]}, ...},
//    "manifest_crc32c": "8a9136aa"}
//
// `offset` counts bytes from the start of the file, `first` and `numel` elements of the logical tensor, row-major. The
// ranges of a tensor are in order and cover it once. `manifest_crc32c` is the CRC-32C of this JSON without that key,
// keys sorted, indented by one space: the manifest vouches for the other files, and this for the manifest.
// A manifest without "state" is one of an earlier version of this program: there was none.
// "format" and "format_version" keep their place and meaning in every later version. Plain data; torch-free.
#ifndef STOWAGE_TRAINER_CHECKPOINT_MANIFEST_H_
#define STOWAGE_TRAINER_CHECKPOINT_MANIFEST_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/dtype.h"

namespace stowage {

inline constexpr int kCheckpointFormatVersion = 1;

// What is saved besides tensors, and what a resume is checked against. Texts so that any reader can show them.
struct CheckpointInfo {
  int64_t step = 0;                               // updates done
  std::map<std::string, std::string> must_match;  // name -> value; a resume with another value is refused
  std::map<std::string, std::string> noted;       // name -> value; a difference is said (bits cannot be promised)
  std::map<std::string, std::string> state;       // name -> value; where the run stands beside its tensors
  std::string config_yaml;                        // kept as config.yaml beside the manifest
  std::string plan_json;                          // kept as plan.json; empty: no such file
  std::string tokenizer_model;                    // kept as tokenizer.model, bytes; empty: no such file
};

struct Manifest {
  // Elements [first, first + numel) of a logical tensor, at `file_offset` of `file`.
  struct Range {
    std::string file;
    int64_t file_offset = 0;
    int64_t first = 0;
    int64_t numel = 0;
  };
  struct Tensor {
    DType dtype = DType::kFloat32;
    std::vector<int64_t> shape;
    int64_t numel = 0;
    std::vector<Range> ranges;  // by `first`
  };
  struct File {
    int64_t bytes = 0;
    uint32_t crc32c = 0;
  };

  CheckpointInfo info;  // without config_yaml, plan_json and tokenizer_model, which are files of their own
  int world_size = 1;   // that wrote it
  std::map<std::string, Tensor> tensors;
  std::map<std::string, File> files;
};

// The text of manifest.json. InvalidArgument: a name or value that is not UTF-8.
absl::StatusOr<std::string> ManifestToJson(const Manifest& manifest);

// The way back. DataLoss: torn, altered, or not of that form. FailedPrecondition: another format version, both named.
// Whether the ranges fit together is for CheckManifest: what one rank wrote is only a part.
absl::StatusOr<Manifest> ManifestFromJson(const std::string& text);

// That each tensor's ranges cover it exactly once and lie inside files that are listed; sorts them by `first`.
// InvalidArgument names the tensor.
absl::Status CheckManifest(Manifest& manifest);

// Adds what one rank wrote to the whole: its files and its ranges of tensors. InvalidArgument: another rank gave the
// same tensor another dtype or shape, or a file that is there already.
absl::Status AddPart(const Manifest& part, Manifest& whole);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_CHECKPOINT_MANIFEST_H_
