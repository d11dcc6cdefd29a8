// abi/memory.hpp: process-local memory, had when something is opened, never on the data path.
#pragma once
#include <cstddef>
#include <new>
#include "abi/port/port.hpp"

namespace vdset {

/// Zeroed memory, or null. mimalloc in libvdset.so; the host's malloc in libvdset.a (decision 3.6).
void* allocate(std::size_t bytes);
void release(void* memory);

/// Objects behind the C API. Their memory is reused for objects of the same type and never given
/// back, so that a stale
/// pointer reads `kind` of a closed object and the call answers NOTOPEN instead of crashing.
template <class T>
class Recycler {
 public:
  Recycler() { port::mutex_init(lock_); }
  T* get() {
    const port::Locked guard(lock_);
    T* object = free_;
    if (object != nullptr)
      free_ = object->next_free;
    else
      object = static_cast<T*>(allocate(sizeof(T)));
    if (object == nullptr) return nullptr;
    return new (object) T();
  }
  void put(T* object) {
    const port::Locked guard(lock_);
    object->next_free = free_;
    free_ = object;
  }

 private:
  port::Mutex lock_;
  T* free_ = nullptr;
};

}  // namespace vdset
