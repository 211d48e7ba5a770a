// The parameters of one group of which every rank keeps a shard: ZeRO 1 to 3.
//
//   shard      [shard_numel] fp32    the masters that this rank owns and updates: whole's elements from rank *
//   shard_numel on in fp32    [..] fp32             gathered, for segments that get parameters in fp32 in bf16    [..]
//   bf16             gathered, for those that get them in bf16
//
// What is gathered is as segments want it (gather_layout.h): a matrix that segments multiply in bf16 is cast by its
// owner and sent in bf16. Each rank writes its own part straight into the gathered buffer, in place, so that a gather
// needs no buffer besides. Under stages 1 and 2 the gathered bytes are always there and an update makes them stale
// until the next gather; where all parameters are wanted in fp32 the shard is a part of them and nothing is held twice.
// Under stage 3 they are there between a gather and a release only, while the tensors that autograd knows stay the same
// (refillable_tensor.h).
//
// In the ledger gathered bytes are parameters; a shard of its own is optimizer if something is gathered in bf16, and
// parameters if not.
//
// Owns all buffers; a gather keeps the gathered ones until its events are done. Not thread-safe.
#ifndef STOWAGE_TRAINER_STATE_SHARDED_PARAMETERS_H_
#define STOWAGE_TRAINER_STATE_SHARDED_PARAMETERS_H_

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "sharding/communicator.h"
#include "sharding/event.h"
#include "sharding/flat_layout.h"
#include "trainer/model/parameter.h"
#include "trainer/state/gather_layout.h"
#include "trainer/state/refillable_tensor.h"

namespace stowage {

class ShardedParameters {
 public:
  // Takes the shard's bytes, zeros, and under stages 1 and 2 the gathered ones. `spec.zero_stage` is 1 to 3. `in_fp32`,
  // `in_bf16`: by parameter, whether some segment gets it so. Throws what LibTorch throws when memory is short.
  ShardedParameters(const GroupSpec& spec, const FlatLayout& layout, int world_size, int rank,
                    const std::vector<bool>& in_fp32, const std::vector<bool>& in_bf16);
  ShardedParameters(const ShardedParameters&) = delete;
  ShardedParameters& operator=(const ShardedParameters&) = delete;

  // Takes over what this rank keeps of `whole` ([whole_numel] fp32, padding zero): the shard, and under stages 1 and 2
  // all that is gathered, which needs nobody else then.
  void Keep(const float* whole);

  // Parameter `i` as autograd knows it, in fp32 or in bf16: the same tensor always. It was chosen so at construction.
  const at::Tensor& leaf(int i, at::ScalarType dtype) const;

  // Bytes for the gathered parameters, if there are none. Throws what LibTorch throws when memory is short.
  void TakeGathered();
  // Writes this rank's part and starts the collectives, at most two. What was taken may be read after all events.
  // Collective; the communicator is that of the constructor's world and rank.
  std::vector<Event> Gather(Communicator& communicator);
  // Stage 3: gives the gathered bytes back, on which no lane may be working.
  void ReleaseGathered();
  bool gathered() const;

  float* shard() { return shard_data_; }

 private:
  // What is gathered in one dtype.
  struct Form {
    Form(const GroupSpec& spec, const FlatLayout& layout, int world_size, std::vector<int> chosen,
         at::ScalarType dtype);
    GatherLayout layout;
    RefillableTensor bytes;
    std::vector<at::Tensor> leaves;  // by parameter; undefined where it was not chosen
  };
  // Of `from`, whose first element is whole's `first`, what `rank` owns, into the form's bytes.
  static void Write(const float* from, int64_t first, int rank, Form& form);

  const FlatLayout layout_;
  const int world_size_;
  const int rank_;
  const bool keeps_gathered_;          // stages 1 and 2
  std::unique_ptr<Form> fp32_, bf16_;  // null: nothing is wanted so
  at::Tensor shard_;                   // undefined: it is a part of fp32_'s bytes
  float* shard_data_ = nullptr;
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_STATE_SHARDED_PARAMETERS_H_
