// A dry run: kernels are called on pointers to nothing, and neither read nor write.
//
// For a rehearsal of a training step, whose tensors have shapes and addresses but no bytes. Within a DryScope each
// function of kernels/ that touches buffers checks its arguments as ever, takes and gives back the scratch
// (kernels/scratch.h) that the same call would really take, in the same order, and returns. What it returns then is
// said beside it where it is not void; CountedGemmFlops goes on counting.
//
// Code above kernels/ that reads or writes a tensor's bytes by itself asks Dry() too.
#ifndef STOWAGE_KERNELS_DRY_H_
#define STOWAGE_KERNELS_DRY_H_

namespace stowage::kernels {

// Whether the calling thread is within a DryScope. Of the thread and not of the process, so that a rehearsal can run
// beside real work; the thread that calls a kernel decides for the team that would work on it. LibTorch's autograd runs
// the nodes of CPU tensors on the thread that called backward(), and so within its scope.
bool Dry();

// The calling thread runs dry as long as it lives; with false, it is real again within a dry run, to compute on data
// that is there. Nests: what held before comes back at the end. To be destroyed on the thread that made it.
class DryScope {
 public:
  explicit DryScope(bool dry = true);
  ~DryScope();
  DryScope(const DryScope&) = delete;
  DryScope& operator=(const DryScope&) = delete;

 private:
  const bool before_;
};

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_DRY_H_
