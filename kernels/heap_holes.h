// Lets the heap reuse the holes that large aligned blocks leave.
#ifndef STOWAGE_KERNELS_HEAP_HOLES_H_
#define STOWAGE_KERNELS_HEAP_HOLES_H_

namespace stowage::kernels {

// Call it right before a library takes large blocks by posix_memalign on this thread and those of its OpenMP team, as
// oneDNN's products do.
//
// glibc makes an aligned block by cutting what sticks out off a larger one, before it and behind it. The cuttings, of
// at most 176 bytes, go into the thread's cache of small blocks, and those in it never join their neighbours again. So
// the hole that a freed block of n bytes leaves is of n bytes, the next block of n bytes needs n + 160 to be cut from,
// and the heap grows by a whole block: by one for each segment of a model (measured: 45 MiB with six layers of width
// 384, where 4 MiB are enough). A cache that is full of such sizes takes no cuttings; they join the hole at once. This
// fills it.
//
// Source: glibc's malloc/malloc.c, _int_memalign and _int_free, versions 2.26 to 2.37. With another malloc it changes
// nothing. Takes some microseconds. Thread-safe.
void KeepHeapHolesWhole();

}  // namespace stowage::kernels

#endif  // STOWAGE_KERNELS_HEAP_HOLES_H_
