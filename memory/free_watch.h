// Told right before a large block is freed: then tensors hold as much as they ever do around that moment.
#ifndef STOWAGE_MEMORY_FREE_WATCH_H_
#define STOWAGE_MEMORY_FREE_WATCH_H_

namespace stowage {

// Thread-safe. Must make and free no tensors, and throw nothing.
class FreeWatch {
 public:
  virtual ~FreeWatch() = default;
  virtual void BeforeFree() = 0;
};

}  // namespace stowage

#endif  // STOWAGE_MEMORY_FREE_WATCH_H_
