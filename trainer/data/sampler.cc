#include "trainer/data/sampler.h"

#include "base/check.h"
#include "base/hash.h"

namespace stowage {
namespace {

// Four rounds make a Feistel network a pseudo-random permutation for wide halves (Luby and Rackoff, 1988). Small sets
// have halves of a few bits, where more rounds are what mixes; eight cost 40 ns a sample.
constexpr int kRounds = 8;

constexpr uint64_t kOrderKey = 0x5a3d;  // keeps this use of the seed apart from dropout's and the weights'

// Bits of each half: the smallest h >= 1 with 4^h >= n. So the network permutes less than 4 n values (or 4), and
// cycle walking ends after fewer than four tries on average.
int HalfBits(uint64_t n) {
  int half = 1;
  while (half < 31 && (uint64_t{1} << (2 * half)) < n) ++half;
  return half;
}

}  // namespace

int64_t PermutedIndex(uint64_t key, int64_t n, int64_t i) {
  STOWAGE_CHECK(n >= 1 && n <= int64_t{1} << 62 && i >= 0 && i < n) << "n " << n << " i " << i;
  const int half = HalfBits(n);
  const uint64_t mask = (uint64_t{1} << half) - 1;
  uint64_t round_keys[kRounds];
  for (int r = 0; r < kRounds; ++r) round_keys[r] = HashKey({key, static_cast<uint64_t>(r)});
  uint64_t x = i;
  // The network permutes [0, 4^half). Walking along its cycle until it is back in [0, n) permutes [0, n).
  do {
    uint64_t left = x >> half;
    uint64_t right = x & mask;
    for (uint64_t round_key : round_keys) {
      const uint64_t next = left ^ (Mix64(round_key ^ right) & mask);
      left = right;
      right = next;
    }
    x = left << half | right;
  } while (x >= static_cast<uint64_t>(n));
  return static_cast<int64_t>(x);
}

Sampler::Sampler(uint64_t seed, int64_t dataset_size, int64_t global_batch, bool flush_epochs)
    : seed_(seed), dataset_size_(dataset_size), global_batch_(global_batch), flush_epochs_(flush_epochs) {
  STOWAGE_CHECK(dataset_size >= 1 && global_batch >= 1) << "size " << dataset_size << " batch " << global_batch;
}

int64_t Sampler::steps_per_epoch() const { return (dataset_size_ + global_batch_ - 1) / global_batch_; }

std::vector<SampleId> Sampler::GlobalBatch(int64_t step) const {
  STOWAGE_CHECK(step >= 0) << "step " << step;
  int64_t epoch, position, count = global_batch_;
  if (flush_epochs_) {
    epoch = step / steps_per_epoch();
    position = step % steps_per_epoch() * global_batch_;
    if (count > dataset_size_ - position) count = dataset_size_ - position;
  } else {
    epoch = step * global_batch_ / dataset_size_;
    position = step * global_batch_ % dataset_size_;
  }
  std::vector<SampleId> batch;
  batch.reserve(count);
  uint64_t key = HashKey({seed_, kOrderKey, static_cast<uint64_t>(epoch)});
  while (static_cast<int64_t>(batch.size()) < count) {
    if (position == dataset_size_) {
      position = 0;
      key = HashKey({seed_, kOrderKey, static_cast<uint64_t>(++epoch)});
    }
    batch.push_back({epoch, PermutedIndex(key, dataset_size_, position++)});
  }
  return batch;
}

}  // namespace stowage
