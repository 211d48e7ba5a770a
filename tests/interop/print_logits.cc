// The logits of a model, for comparison with other programs: print_logits RUN TOKENS OUT
//
// RUN: a run, checkpoint or Hugging Face folder. TOKENS: ids separated by white space, one sequence. OUT: fp32, row by
// row [tokens, vocabulary].
#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>

#include <ATen/ops/empty.h>

#include "base/status_macros.h"
#include "sharding/solo_communicator.h"
#include "trainer/run/model_state.h"
#include "trainer/run/predict.h"
#include "trainer/run/process.h"

namespace stowage {
namespace {

absl::Status PrintLogits(const char* run, const char* tokens_file, const char* out_file) {
  SoloCommunicator solo;
  STOWAGE_ASSIGN_OR_RETURN(LoadedModel loaded, LoadModel(run, solo));
  std::ifstream in(tokens_file);
  const std::vector<int64_t> tokens{std::istream_iterator<int64_t>(in), std::istream_iterator<int64_t>()};
  Batch batch;
  at::Tensor ids = at::empty({1, static_cast<int64_t>(tokens.size())}, at::kLong);
  std::copy(tokens.begin(), tokens.end(), ids.data_ptr<int64_t>());
  batch.tensors["tokens"] = ids;
  batch.samples = 1;
  STOWAGE_ASSIGN_OR_RETURN(const at::Tensor logits, Predict(loaded.state, batch));
  std::ofstream out(out_file, std::ios::binary);
  out.write(static_cast<const char*>(logits.const_data_ptr()), logits.numel() * sizeof(float));
  out.close();
  return out ? absl::OkStatus() : absl::UnknownError("cannot write");
}

}  // namespace
}  // namespace stowage

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "print_logits RUN TOKENS OUT\n");
    return 2;
  }
  absl::Status status = stowage::SetUpProcess(1);
  if (status.ok()) status = stowage::PrintLogits(argv[1], argv[2], argv[3]);
  if (!status.ok()) std::fprintf(stderr, "stowage: %s\n", std::string(status.message()).c_str());
  return status.ok() ? 0 : 1;
}
