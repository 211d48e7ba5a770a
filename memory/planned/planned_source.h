// Plays a plan: the k-th block that a step asks for lies where the plan has put it, in one arena. Nothing is searched,
// nothing locked, and no page is new from one step to the next.
//
//   source.BeginStep();     // takes the arena from `base`, in one piece
//   ...                     // this thread's allocations are matched with the plan, in order
//   source.EndStep();       // gives the arena back, for whatever runs between steps
//
// What the plan did not foresee goes to `base`, block by block, and is counted: another size than the plan's next (the
// cursor stays; when the last kAgreeing sizes are found together within kWindow further on, it goes on from there), a
// place on which a block still lies that the plan has dead by now, more blocks than planned, a base without room for
// the arena. Other threads' blocks come from `base`, and so do all between steps.
//
// A block that is freed later than planned, in a later step even, keeps its place: such blocks are listed when their
// time is over, and as long as there are any, places are compared with theirs. While one is left at EndStep, the arena
// stays.
//
// BeginStep, EndStep and GiveArenaBack belong to one thread at a time. Allocate and Free are thread-safe.
#ifndef STOWAGE_MEMORY_PLANNED_PLANNED_SOURCE_H_
#define STOWAGE_MEMORY_PLANNED_PLANNED_SOURCE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "memory/block_source.h"
#include "memory/planned/lifetimes.h"
#include "memory/planned/pack_arena.h"

namespace stowage {

// Since the source was made; of the threads that began steps.
struct PlannedStatistics {
  int64_t steps = 0;          // begun, with an arena or without
  int64_t steps_without = 0;  // for which base had no room for the arena
  int64_t served = 0;         // blocks of the arena
  int64_t outliving = 0;      // blocks that the plan has not placed, since they outlive the step
  int64_t unexpected = 0;     // fallbacks: not the size that came next, or beyond the plan's end
  int64_t occupied = 0;       // fallbacks: the place was not free yet
  int64_t overdue = 0;        // blocks of the arena that were live at the end of a step, counted at each
  int64_t arena_bytes = 0;
  int64_t peak_live_bytes = 0;  // of the plan: arena_bytes can be no less

  int64_t fallbacks() const { return unexpected + occupied; }
};

class PlannedSource final : public BlockSource {
 public:
  // Sizes in a row that must agree before the cursor jumps, and how far ahead they are looked for.
  static constexpr int kAgreeing = 3;
  static constexpr int64_t kWindow = 256;

  // `plan` is PackArena's of `lifetimes`. Borrows `base`, which must outlive it. Must itself outlive its blocks: see
  // outstanding().
  PlannedSource(const Lifetimes& lifetimes, const ArenaPlan& plan, BlockSource& base);
  // No block may be live.
  ~PlannedSource() override;

  // The calling thread's allocations follow the plan from its start. False: base has no room for the arena, and the
  // step's blocks come from base.
  bool BeginStep();
  void EndStep();

  void* Allocate(size_t bytes) override;
  void Free(void* block, size_t bytes) override;

  // Between steps: gives the arena back if no block is left in it. True: there is none.
  bool GiveArenaBack();
  // Blocks that came through here, base's included, and are not freed. Exact when no other thread is in a call.
  int64_t outstanding() const;
  // Between steps, or on the step's thread.
  const PlannedStatistics& statistics() const { return statistics_; }

 private:
  struct Entry {
    int64_t bytes;
    int64_t offset;  // ArenaPlan::kNoPlace: outlives the step
    int32_t slot;
  };
  // By the time of it.
  struct Death {
    int64_t time;
    int32_t number;
    int32_t slot;
  };
  // A distinct offset of the plan. At most one block lies there at a time.
  struct Slot {
    int64_t offset = ArenaPlan::kNoPlace;
    // Number of the live block there + 1; 0: none. Set by the step's thread, cleared by any.
    std::atomic<int32_t> block{0};
  };

  void* FromBase(size_t bytes, int64_t* counter);
  // The number of the plan's block that one of `bytes` is; kNoPlace: none.
  int64_t Match(int64_t bytes) const;
  bool IsLive(int32_t number, int32_t slot) const;
  // Lists the live blocks whose time is over at `time`.
  void ListLate(int64_t time);
  // Whether a late block lies on the place of `entry`. Forgets those that are freed by now.
  bool OnLateBlock(const Entry& entry);
  size_t SlotOf(int64_t offset) const;
  void Remember(int64_t bytes);

  BlockSource& base_;
  std::vector<Entry> entries_;     // by number of the allocation
  std::vector<Death> deaths_;      // of planned blocks
  std::unique_ptr<Slot[]> slots_;  // a hash table by offset
  size_t slot_mask_ = 0;
  std::atomic<char*> arena_{nullptr};
  std::atomic<std::thread::id> thread_{};  // that plays a step; none: no step, or without arena
  std::atomic<int64_t> outside_{0};        // live blocks of base that came through here

  // Of the thread that plays.
  int64_t next_ = 0;                             // the plan's next block
  size_t next_death_ = 0;                        // in deaths_
  std::array<int64_t, kAgreeing - 1> recent_{};  // sizes asked for before this one, the latest first
  std::vector<Death> late_;
  PlannedStatistics statistics_;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_PLANNED_PLANNED_SOURCE_H_
