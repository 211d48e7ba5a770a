// High-water marks of stretches of time: of a phase, a step, an instruction, a block of a program.
//
// A ledger has one peak a counter, and a stretch needs its own. So time is cut wherever a stretch begins or ends: the
// ledger's peaks are taken and started anew there, and whatever was taken raises every stretch that was open. Stretches
// may nest and overlap in any way, on several threads; a cut costs some tenths of a microsecond and the hot path
// nothing.
//
//   step     |-----------------------------------------|
//   forward       |--------------|
//   cut      |    |              |                      |      each takes the peaks since the cut before
//
// Thread-safe. A ledger has one LedgerMarks: nobody else may take or reset its peaks.
#ifndef STOWAGE_MEMORY_LEDGER_MARKS_H_
#define STOWAGE_MEMORY_LEDGER_MARKS_H_

#include <mutex>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "memory/ledger.h"
#include "memory/peaks.h"

namespace stowage {

class LedgerMarks {
 public:
  // Borrows the ledger.
  explicit LedgerMarks(Ledger& ledger);
  LedgerMarks(const LedgerMarks&) = delete;
  LedgerMarks& operator=(const LedgerMarks&) = delete;

  // From here to its Close, `mark` (not owned, stays where it is) is raised to what is held; what it had before counts
  // too, so that one mark may be opened again and again. It is whole after Close; before, Read() tells.
  void Open(Peaks* mark);
  void Close(Peaks* mark);

  // `mark`, open or not, up to now.
  Peaks Read(const Peaks& mark);
  // Since the ledger began, unless its peaks had been reset before this was made.
  Peaks Overall();

  Ledger& ledger() const { return ledger_; }

 private:
  void Cut() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Ledger& ledger_;
  std::mutex mu_;
  Peaks overall_ ABSL_GUARDED_BY(mu_);
  std::vector<Peaks*> open_ ABSL_GUARDED_BY(mu_);
};

// Opens a mark for as long as it lives.
class MarkScope {
 public:
  MarkScope(LedgerMarks& marks, Peaks* mark) : marks_(marks), mark_(mark) { marks_.Open(mark_); }
  ~MarkScope() { marks_.Close(mark_); }
  MarkScope(const MarkScope&) = delete;
  MarkScope& operator=(const MarkScope&) = delete;

 private:
  LedgerMarks& marks_;
  Peaks* const mark_;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_LEDGER_MARKS_H_
