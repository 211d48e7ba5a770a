// What a run's memory was made of when it was at its most: the table at the end of a run.
#ifndef STOWAGE_TRAINER_METRICS_MEMORY_TABLE_H_
#define STOWAGE_TRAINER_METRICS_MEMORY_TABLE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace stowage {

// Plain data. Bytes, of rank 0. Tensors' `then`, the lines and unexplained_bytes add up to rss_peak_bytes.
struct MemoryTable {
  struct Tensors {
    std::string category;
    int64_t then_bytes = 0;  // at `moment`
    int64_t most_bytes = 0;  // whenever that was
  };
  struct Line {
    std::string name;  // in report.json
    std::string text;  // for people
    int64_t bytes = 0;
  };

  std::string unmeasured;  // why there is nothing to show; empty: all else is there
  std::string moment;      // "step 3, backward h.3.attn"
  std::vector<Tensors> tensors;
  int64_t most_tensor_bytes = 0;  // of all categories together, whenever that was
  std::vector<Line> outside;
  int64_t unexplained_bytes = 0;
  int64_t rss_peak_bytes = 0;                  // VmHWM
  std::optional<int64_t> most_rss_peak_bytes;  // of the rank that held the most; nullopt: one rank
};

// Lines of text. What rounds to 0.0 MiB is left out.
//
//   Memory at its peak (step 3, backward h.3.attn), MiB; beside it each category's own peak
//     parameters                       7.1       7.1
//     activations                     96.3     110.0
//     tensors in all                 103.4     117.1
//     libraries' code and data        98.0
//     unexplained                      0.6   (0.2 %)
//     peak resident                  202.0
std::vector<std::string> MemoryTableLines(const MemoryTable& table);

}  // namespace stowage

#endif  // STOWAGE_TRAINER_METRICS_MEMORY_TABLE_H_
