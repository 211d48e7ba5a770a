// What a rank's own window holds besides data: who writes what there, and who reads it.
//
//   | ControlBlock | Channel to rank 0 | ... | Channel to rank n-1 | slot 0 | slot 1 |
//
// Zeros are the state at the start. Only atomics that need no lock: a process may die at any instruction.
#ifndef STOWAGE_SHARDING_SHARED_MEMORY_CONTROL_BLOCK_H_
#define STOWAGE_SHARDING_SHARED_MEMORY_CONTROL_BLOCK_H_

#include <atomic>
#include <cstdint>

namespace stowage {

// A word that its owner counts up and others sleep on.
struct alignas(64) SharedWord {
  std::atomic<uint32_t> value;
  std::atomic<uint32_t> sleepers;
};
static_assert(std::atomic<uint32_t>::is_always_lock_free, "shared between processes");

// Where a buffer lies: in a shared buffer of the arena, or in memory of the rank's own (region 0).
struct SharedPlace {
  int64_t region;
  int64_t offset;
};

// What this rank calls. Written before it arrives at a collective, read by the peers until the collective's end.
struct PostedCall {
  static constexpr int kTextBytes = 480;
  uint64_t hash;       // of the whole text
  int64_t text_bytes;  // exchange_text: of this rank's text
  SharedPlace in;
  SharedPlace out;
  char text[kTextBytes];  // the request in words, cut, zero at its end
};

struct ControlBlock {
  static constexpr int kMessageBytes = 3000;
  SharedWord phase;                         // how many times this rank has arrived
  SharedWord doorbell;                      // counted up by all: there may be news for this rank's messages
  alignas(64) std::atomic<uint32_t> ended;  // an absl::StatusCode, not 0: this rank ended the group; `message`
  char message[kMessageBytes];
  PostedCall call;
};

// Pieces of messages from the window's owner to one peer: full while filled - taken is 1.
struct Channel {
  // A piece fits the caches of both; a message's latency is a few microseconds a piece.
  static constexpr int64_t kPieceBytes = int64_t{128} << 10;
  alignas(64) std::atomic<uint32_t> filled;  // by the sender
  std::atomic<uint32_t> taken;               // by the receiver
  int64_t message_bytes;                     // of the whole message that the piece belongs to
  alignas(64) char data[kPieceBytes];
};

// Where things lie in a window of a group of `ranks`.
struct WindowLayout {
  WindowLayout(int ranks, int64_t slot_bytes) : ranks(ranks), slot_bytes(slot_bytes) {}
  static constexpr int64_t kPage = 4096;
  int64_t channel_begin() const { return (static_cast<int64_t>(sizeof(ControlBlock)) + kPage - 1) / kPage * kPage; }
  int64_t slot_begin() const {
    return (channel_begin() + ranks * static_cast<int64_t>(sizeof(Channel)) + kPage - 1) / kPage * kPage;
  }
  int64_t bytes() const { return slot_begin() + 2 * slot_bytes; }

  ControlBlock& control(char* window) const { return *reinterpret_cast<ControlBlock*>(window); }
  Channel& channel(char* window, int to) const { return reinterpret_cast<Channel*>(window + channel_begin())[to]; }
  char* slot(char* window, int64_t round) const { return window + slot_begin() + (round % 2) * slot_bytes; }

  int ranks;
  int64_t slot_bytes;  // a multiple of 64
};

}  // namespace stowage

#endif  // STOWAGE_SHARDING_SHARED_MEMORY_CONTROL_BLOCK_H_
