// What a checkpoint remembers of its run, and what a resume is held to. The table for people is docs/checkpoints.md.
#ifndef STOWAGE_TRAINER_RUN_RESUME_H_
#define STOWAGE_TRAINER_RUN_RESUME_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/config/config.h"

namespace stowage {

// `config` is resolved. `data_fingerprint`: of the training set. must_match holds what changes results and cannot
// change within a run; noted holds what results rest on or what moves the course knowingly (learning rate, steps).
CheckpointInfo MakeCheckpointInfo(const Config& config, int64_t step, const std::string& data_fingerprint,
                                  int world_size, int threads, const std::string& plan_json);

// `here`: the same made from the config at hand. FailedPrecondition lists every value that may not change with both
// values; `said` gets one line per noted difference.
absl::Status CheckResume(const CheckpointInfo& saved, const CheckpointInfo& here, std::vector<std::string>* said);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_RUN_RESUME_H_
