// Puts every LibTorch CPU tensor into a ledger.
//
// LibTorch asks one process-wide allocator for the bytes of all CPU tensors and of most operators' workspaces; this
// replaces it by one that counts. An allocation is entered in the category of the calling thread's CategoryScope, and
// taken out of that same category when it is freed, by whatever thread. Bytes are counted as asked for; a header of
// 64 bytes lies before each block, which is aligned to 64.
//
// Not counted: what libraries take from malloc themselves (oneDNN's and MKL's buffers, autograd's nodes), tensors
// that wrap memory of others (from_blob), and what was allocated before installing.
//
// An allocation that fails throws c10::OutOfMemoryError out of the operator that wanted it (an allocator has no other
// way to say so) and enters nothing.
#ifndef STOWAGE_MEMORY_COUNTING_ALLOCATOR_H_
#define STOWAGE_MEMORY_COUNTING_ALLOCATOR_H_

#include <c10/core/Allocator.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "memory/block_header.h"
#include "memory/block_source.h"
#include "memory/category_scope.h"
#include "memory/free_watch.h"
#include "memory/holders.h"
#include "memory/ledger.h"
#include "memory/pool/pool.h"
#include "memory/shortage_handler.h"

namespace stowage {

// Process-wide, once, early: before other threads use LibTorch. `ledger` must live as long as any CPU tensor, so in
// practice to the end of the process; it is not owned.
// FailedPrecondition: another ledger is installed already, or another allocator took LibTorch's place by priority.
// Installing the same ledger again does nothing.
absl::Status InstallCountingAllocator(Ledger* ledger);

// The largest live blocks of at least 4 KiB (or described below that), largest first. Thread-safe.
std::vector<Holder> LargestHolders(int count);

// For the text of an error, also from within ShortageHandler::Explain: the largest holders, a line each (HolderText),
// and what this thread is playing ("forward h.3.attn"; empty: nothing). Thread-safe.
std::vector<std::string> LargestHolderLines(int count);
std::string CurrentInstruction();

// Gives a live block a name of its own, which goes when the block is freed. False: the block is empty or not of the
// counting allocator. Thread-safe for different blocks. For tensors: tracked_tensor.h.
bool DescribeBlock(const c10::DataPtr& block, std::unique_ptr<BlockDescription> description);

// The pool that the installed allocator takes its blocks from, unless another source was set. Null before it is
// installed.
Pool* InstalledPool();

// From now on blocks come from `source`, not owned, which must live as long as any block of it; null: the pool again.
// Blocks go back where they came from. Returns what was set before (null: the pool). Thread-safe.
BlockSource* SetBlockSource(BlockSource* source);

// The same for the blocks that the calling thread asks for, before SetBlockSource's; null: as all threads. Returns what
// was set before.
BlockSource* SetThreadBlockSource(BlockSource* source);

// Asked when the source has no block; not owned; null: none. Returns the one before. Thread-safe, but the one before
// may still be in a call.
ShortageHandler* SetShortageHandler(ShortageHandler* handler);

// Told before blocks of 256 KiB and more are freed; not owned; null: none. Returns the one before. Thread-safe, but the
// one before may still be in a call.
FreeWatch* SetFreeWatch(FreeWatch* watch);

}  // namespace stowage

#endif  // STOWAGE_MEMORY_COUNTING_ALLOCATOR_H_
