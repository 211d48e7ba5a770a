#include "trainer/data/samples/idx_file.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace stowage {
namespace {

constexpr int64_t kPieceBytes = int64_t{1} << 20;
constexpr int kUnsignedByte = 0x08;
constexpr int kMostDimensions = 4;  // images with channels: [n, channels, height, width]

// A file that zlib reads: what is compressed is unpacked, what is not comes as it is.
class GzipInput {
 public:
  static absl::StatusOr<GzipInput> Open(const std::string& path) {
    gzFile file = gzopen(path.c_str(), "rb");
    if (file == nullptr) return FileError(path, "open", errno == 0 ? ENOMEM : errno);
    return GzipInput(path, file);
  }

  // Up to `bytes` bytes; fewer only at the end of what the file holds.
  absl::StatusOr<int64_t> Read(int64_t bytes, uint8_t* to) {
    const int got = gzread(file_.get(), to, static_cast<unsigned>(bytes));
    int error = Z_OK;
    const char* message = gzerror(file_.get(), &error);
    if (error == Z_ERRNO) return FileError(path_, "read", errno);
    if (got < 0 || error != Z_OK) {
      return absl::DataLossError(absl::StrCat(path_, ": its compression is damaged or cut short: ", message));
    }
    return got;
  }

 private:
  struct Closer {
    void operator()(gzFile file) const { gzclose_r(file); }
  };
  GzipInput(std::string path, gzFile file) : path_(std::move(path)), file_(file) {}
  std::string path_;
  std::unique_ptr<gzFile_s, Closer> file_;
};

absl::StatusOr<std::vector<int64_t>> ReadHeader(const std::string& path, GzipInput& input) {
  uint8_t magic[4] = {};
  STOWAGE_ASSIGN_OR_RETURN(int64_t got, input.Read(sizeof(magic), magic));
  if (got < 4 || magic[0] != 0 || magic[1] != 0 || magic[3] < 1 || magic[3] > kMostDimensions) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": is not an IDX file: it begins with the bytes ",
        absl::StrJoin(magic, magic + got, " ",
                      [](std::string* out, uint8_t byte) { absl::StrAppend(out, absl::Hex(byte, absl::kZeroPad2)); }),
        got == 0 ? "(it is empty)" : "", ", an IDX file of bytes with 00 00 08 and 01 to 04"));
  }
  if (magic[2] != kUnsignedByte) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": its elements are of IDX type 0x",
                                                   absl::Hex(magic[2], absl::kZeroPad2),
                                                   "; 0x08, unsigned bytes, is read. Numbers of other kinds can be "
                                                   "given as safetensors"));
  }
  std::vector<int64_t> shape;
  for (int d = 0; d < magic[3]; ++d) {
    uint8_t big_endian[4] = {};
    STOWAGE_ASSIGN_OR_RETURN(got, input.Read(sizeof(big_endian), big_endian));
    if (got < 4) return absl::DataLossError(absl::StrCat(path, ": is cut short inside its header"));
    shape.push_back(int64_t{big_endian[0]} << 24 | big_endian[1] << 16 | big_endian[2] << 8 | big_endian[3]);
  }
  return shape;
}

}  // namespace

absl::StatusOr<IdxArray> ReadIdxFile(const std::string& path) {
  STOWAGE_ASSIGN_OR_RETURN(GzipInput input, GzipInput::Open(path));
  IdxArray array;
  STOWAGE_ASSIGN_OR_RETURN(array.shape, ReadHeader(path, input));
  int64_t promised = 1;
  const auto size_text = [&] { return absl::StrCat("its header says ", absl::StrJoin(array.shape, " x "), " bytes"); };
  for (int64_t dimension : array.shape) {
    if (dimension == 0) return absl::InvalidArgumentError(absl::StrCat(path, ": ", size_text(), ": it holds nothing"));
    if (__builtin_mul_overflow(promised, dimension, &promised)) {
      return absl::DataLossError(absl::StrCat(path, ": ", size_text(), ", more than there can be"));
    }
  }
  // Grown as bytes come, not to what the header promises: a header that lies must not take memory.
  std::vector<uint8_t>& elements = array.elements;
  int64_t held = 0;
  while (held < promised) {
    const int64_t piece = std::min(kPieceBytes, promised - held);
    elements.resize(held + piece);
    STOWAGE_ASSIGN_OR_RETURN(const int64_t got, input.Read(piece, elements.data() + held));
    held += got;
    if (got < piece) {
      return absl::DataLossError(absl::StrCat(path, ": is cut short: ", size_text(), ", the file holds ", held));
    }
  }
  uint8_t more = 0;
  STOWAGE_ASSIGN_OR_RETURN(const int64_t rest, input.Read(1, &more));
  if (rest != 0) return absl::DataLossError(absl::StrCat(path, ": is longer than its header says: ", size_text()));
  return array;
}

}  // namespace stowage
