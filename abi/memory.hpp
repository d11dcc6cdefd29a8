// abi/memory.hpp: process-local memory, had when something is opened, never on the data path.
#pragma once
#include <cstddef>
#include <new>
#include "abi/port/port.hpp"
#include "abi/visits.hpp"

namespace vdset {

/// Zeroed memory, or null. The host's hook; without one mimalloc in libvdset.so and the host's
/// malloc in libvdset.a.
void* allocate(std::size_t bytes);
void release(void* memory);

/// Objects behind the C API. Their memory is reused for objects of the same type and never given
/// back, so that a stale pointer reads `kind` of a closed object and the call answers NOTOPEN
/// instead of crashing. The count of visits stands before the object and survives it.
template <class T>
class Recycler {
 public:
  T* get() {
    const port::Locked guard(lock_);
    T* object = free_;
    if (object != nullptr) {
      free_ = object->next_free;
    } else {
      auto* const place = static_cast<Place*>(allocate(sizeof(Place)));
      if (place == nullptr) return nullptr;
      new (&place->visits) Visits;
      object = &place->object;
    }
    return new (object) T();
  }
  void put(T* object) {
    const port::Locked guard(lock_);
    object->next_free = free_;
    free_ = object;
  }
  /// Null for null.
  static Visits* visits_of(T* object) {
    if (object == nullptr) return nullptr;
    auto* const bytes = reinterpret_cast<std::byte*>(object) - offsetof(Place, object);
    return &reinterpret_cast<Place*>(bytes)->visits;
  }

 private:
  struct Place {
    Visits visits;
    T object;
  };
  port::Mutex lock_;
  T* free_ = nullptr;
};

}  // namespace vdset
