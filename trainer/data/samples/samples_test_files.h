// For this folder's tests: IDX and safetensors files with given contents.
#ifndef STOWAGE_TRAINER_DATA_SAMPLES_SAMPLES_TEST_FILES_H_
#define STOWAGE_TRAINER_DATA_SAMPLES_SAMPLES_TEST_FILES_H_

#include <zlib.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "trainer/checkpoint/safetensors.h"
#include "trainer/data/test_files.h"

namespace stowage {

class SamplesTest : public DataTest {
 protected:
  // The bytes of an IDX file: header and `elements`.
  static std::string Idx(const std::vector<uint32_t>& shape, const std::string& elements, char type = 0x08) {
    std::string bytes = {0, 0, type, static_cast<char>(shape.size())};
    for (uint32_t dimension : shape) {
      for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(dimension >> shift));
    }
    return bytes + elements;
  }

  // `count` elements 0, 1, 2, ... (modulo 256).
  static std::string Counting(int count) {
    std::string elements;
    for (int i = 0; i < count; ++i) elements.push_back(static_cast<char>(i));
    return elements;
  }

  std::string WriteGzip(const std::string& name, const std::string& bytes) const {
    gzFile file = gzopen(Path(name).c_str(), "wb");
    gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
    gzclose(file);
    return Path(name);
  }

  struct Tensor {
    std::string name;
    DType dtype;
    std::vector<int64_t> shape;
    std::string bytes;
  };
  std::string WriteTensors(const std::string& name, const std::vector<Tensor>& tensors) const {
    std::vector<SafetensorsTensor> entries;
    for (const Tensor& tensor : tensors) entries.push_back({tensor.name, tensor.dtype, tensor.shape});
    auto writer = SafetensorsWriter::Create(Path(name), entries, {});
    EXPECT_TRUE(writer.ok()) << writer.status();
    for (size_t i : writer->order()) {
      EXPECT_TRUE(writer->Append(tensors[i].bytes.data(), static_cast<int64_t>(tensors[i].bytes.size())).ok());
    }
    EXPECT_TRUE(writer->Finish().ok());
    return Path(name);
  }
};

}  // namespace stowage

#endif  // STOWAGE_TRAINER_DATA_SAMPLES_SAMPLES_TEST_FILES_H_
