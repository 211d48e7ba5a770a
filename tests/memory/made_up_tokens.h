// A text that nobody wrote, with a look at the run each time a batch is read: for tests of memory that train as people
// do.
#ifndef STOWAGE_TESTS_MEMORY_MADE_UP_TOKENS_H_
#define STOWAGE_TESTS_MEMORY_MADE_UP_TOKENS_H_

#include <ATen/ops/empty.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/hash.h"
#include "trainer/data/dataset.h"
#include "trainer/data/open_data.h"

namespace stowage {

// Samples of `context` tokens below 40; every token follows from its place.
class MadeUpTokens final : public Dataset {
 public:
  static constexpr int64_t kVocabulary = 40;

  // `read`: called at each Read with how many there were before.
  MadeUpTokens(int64_t context, std::function<void(int64_t)> read) : context_(context), read_(std::move(read)) {}

  int64_t size() const override { return 10000; }

  absl::StatusOr<Batch> Read(absl::Span<const SampleId> samples) const override {
    if (read_) read_(reads_++);
    Batch batch;
    batch.samples = static_cast<int64_t>(samples.size());
    batch.loss_terms = batch.samples * context_;
    at::Tensor tokens = at::empty({batch.samples, context_}, at::kLong);
    at::Tensor targets = at::empty({batch.samples, context_}, at::kLong);
    for (int64_t i = 0; i < batch.loss_terms; ++i) {
      const uint64_t place = static_cast<uint64_t>(samples[i / context_].index * 7 + i % context_);
      tokens.data_ptr<int64_t>()[i] = static_cast<int64_t>(HashKey({place / 3}) % kVocabulary);
      targets.data_ptr<int64_t>()[i] = static_cast<int64_t>(HashKey({(place + 1) / 3}) % kVocabulary);
    }
    batch.tensors = {{"tokens", tokens}, {"targets", targets}};
    return batch;
  }

  DataShape shape() const override {
    DataShape shape;
    shape.vocabulary = kVocabulary;
    return shape;
  }

  std::string fingerprint() const override { return "made up"; }

 private:
  const int64_t context_;
  const std::function<void(int64_t)> read_;
  mutable int64_t reads_ = 0;
};

}  // namespace stowage

#endif  // STOWAGE_TESTS_MEMORY_MADE_UP_TOKENS_H_
