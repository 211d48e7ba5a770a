#include "trainer/interop/tensor_stream.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/status_macros.h"

namespace stowage {
namespace {

using Append = std::function<absl::Status(const float*, int64_t)>;

absl::Status StreamZeros(int64_t numel, int64_t chunk_numel, const Append& append) {
  const std::vector<float> zeros(std::min(numel, chunk_numel));
  for (int64_t done = 0; done < numel; done += chunk_numel) {
    STOWAGE_RETURN_IF_ERROR(append(zeros.data(), std::min(chunk_numel, numel - done)));
  }
  return absl::OkStatus();
}

absl::Status StreamRows(const CheckpointReader& checkpoint, const HfTensor& tensor, int64_t chunk_numel,
                        const Append& append) {
  const int64_t first = tensor.first_row * tensor.columns, numel = tensor.rows * tensor.columns;
  std::vector<float> chunk(std::min(numel, chunk_numel));
  for (int64_t done = 0; done < numel; done += chunk_numel) {
    const int64_t count = std::min(chunk_numel, numel - done);
    STOWAGE_RETURN_IF_ERROR(checkpoint.Read(tensor.ours, first + done, count, chunk.data()));
    STOWAGE_RETURN_IF_ERROR(append(chunk.data(), count));
  }
  return absl::OkStatus();
}

// As many columns of ours at a time as `chunk_numel` holds: each becomes a row there. Their parts of our rows are read
// in strips of kStripRows, so that a line of the cache that is written is filled before it goes.
absl::Status StreamColumns(const CheckpointReader& checkpoint, const HfTensor& tensor, int64_t chunk_numel,
                           const Append& append) {
  constexpr int64_t kStripRows = 64;
  const int64_t rows = tensor.rows, at_once = std::clamp<int64_t>(chunk_numel / rows, 1, tensor.columns);
  std::vector<float> chunk(at_once * rows), strip(at_once * std::min(rows, kStripRows));
  for (int64_t column = 0; column < tensor.columns; column += at_once) {
    const int64_t width = std::min(at_once, tensor.columns - column);
    for (int64_t row = 0; row < rows; row += kStripRows) {
      const int64_t height = std::min(kStripRows, rows - row);
      const int64_t first = (tensor.first_row + row) * tensor.columns + column;
      if (width == tensor.columns) {
        STOWAGE_RETURN_IF_ERROR(checkpoint.Read(tensor.ours, first, height * width, strip.data()));
      } else {
        for (int64_t i = 0; i < height; ++i) {
          STOWAGE_RETURN_IF_ERROR(
              checkpoint.Read(tensor.ours, first + i * tensor.columns, width, strip.data() + i * width));
        }
      }
      for (int64_t j = 0; j < width; ++j) {
        for (int64_t i = 0; i < height; ++i) chunk[j * rows + row + i] = strip[i * width + j];
      }
    }
    STOWAGE_RETURN_IF_ERROR(append(chunk.data(), width * rows));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status StreamTensor(const CheckpointReader& checkpoint, const HfTensor& tensor, int64_t chunk_numel,
                          const Append& append) {
  if (tensor.ours.empty()) return StreamZeros(tensor.rows * tensor.columns, chunk_numel, append);
  if (tensor.transposed) return StreamColumns(checkpoint, tensor, chunk_numel, append);
  return StreamRows(checkpoint, tensor, chunk_numel, append);
}

}  // namespace stowage
