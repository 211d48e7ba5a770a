// The lives of a step's buffers, told effect by effect: each comes into being before it is used, nobody uses what a
// lane works on, and each goes once.
//
// Knows of no instruction: which effects one has is EffectsOf's affair (instruction_effects.h), which rule a fault
// breaks the verifier's. A buffer lives once per schedule; one that may come again (copies, what a recompute
// gives) does so by kRefill.
//
// Cost: O(1) an effect, kReturn aside, which is O(buffers lent). Torch-free. Not thread-safe.
#ifndef STOWAGE_TRAINER_SCHEDULE_BUFFER_TABLE_H_
#define STOWAGE_TRAINER_SCHEDULE_BUFFER_TABLE_H_

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

namespace stowage {

// What `target` and `micro` are of each. A new kind needs a line here and in BufferTable's callers, nothing else.
enum class BufferKind : uint8_t {
  kBatch,         // -, micro: what the data gave
  kFlow,          // segment, micro: its outputs, until the next one has read them
  kTape,          // segment, micro: what its forward keeps for backward
  kInputs,        // segment, micro: its inputs, kept for a recompute
  kReplay,        // segment, micro: what its recompute gave, until the next one has read it or backward is here
  kGradientFlow,  // segment, micro: the gradients of its inputs, until the segment before has read them
  kCopies,        // group, -: its parameters in the dtype of computing
  kGradients,     // group, micro: the gradient buffer; micro 0 where one is reduced for all micro-batches
  kEvent,         // event, -: from when it is raised to when it is waited for
  kParameters,    // group, -: its whole parameters, where each rank keeps a shard of them
  kAgreement,     // -, -: what the ranks agreed on
};
constexpr int kBufferKinds = 11;

struct Buffer {
  BufferKind kind = BufferKind::kBatch;
  int target = 0;
  int micro = 0;
};

enum class Act : uint8_t {
  kTake,    // comes into being
  kRefill,  // is there afterwards, whether or not it was before
  kRead,    // is there
  kAdd,     // something is added to it; the first one brings it into being
  kLend,    // is whole, and a lane's from here until `event`; nothing is added to it ever after
  kFetch,   // comes into being, perhaps again, by a lane, whose it is until `event`
  kSettle,  // was lent and is back, and goes if it has not
  kReturn,  // an event is waited for: it goes, and all that was lent until it may be touched again
  kFree,    // goes
  kDrop,    // is not there afterwards, whether or not it was before
};

struct Effect {
  Act act = Act::kRead;
  Buffer buffer;
  int event = -1;  // of kLend and kFetch
};

enum class Fault : uint8_t {
  kNone,
  kNever,       // it has not come into being yet
  kGone,        // it has lived and is gone
  kThere,       // it is there already
  kLent,        // a lane works on it
  kIncomplete,  // not all that it is the sum of has been added
  kSealed,      // it was lent before: its sum is closed
};

class BufferTable {
 public:
  // How many targets and micro-batches a kind has; both may be 0.
  void SetSize(BufferKind kind, int targets, int micros);
  // There from the start.
  void Start(Buffer buffer);
  // It is whole after so many kAdd.
  void Expect(Buffer buffer, int adds);

  // What follows takes buffers within the sizes that were set; anything else is a bug of the caller (STOWAGE_CHECK).

  // Does it, or says why it cannot be and changes nothing. `at`: the instruction's index, for TakenAt.
  Fault Apply(const Effect& effect, int at);

  bool IsThere(Buffer buffer) const;
  bool WasEver(Buffer buffer) const;
  // The instruction that brought it into being; -1: it was there from the start, or never.
  int TakenAt(Buffer buffer) const;
  // One of this kind that is there, the first by target and micro-batch.
  std::optional<Buffer> FirstThere(BufferKind kind) const;
  // One of this kind that is there and was never lent.
  std::optional<Buffer> FirstNeverLent(BufferKind kind) const;

 private:
  enum class Life : uint8_t { kNever, kThere, kGone };
  struct State {
    Life life = Life::kNever;
    bool sealed = false;
    int lent_until = -1;  // an event
    int adds = 0, expected_adds = 0;
    int taken_at = -1;
  };
  struct Kind {
    int targets = 0, micros = 0;
    std::vector<State> states;  // [target * micros + micro]
  };

  const State& at(Buffer buffer) const;
  State& at(Buffer buffer) { return const_cast<State&>(static_cast<const BufferTable*>(this)->at(buffer)); }
  Fault Usable(const State& state) const;
  template <typename Condition>
  std::optional<Buffer> First(BufferKind kind, Condition condition) const;

  std::array<Kind, kBufferKinds> kinds_;
  std::vector<std::vector<Buffer>> lent_;  // by event
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_SCHEDULE_BUFFER_TABLE_H_
