// bindings/vdi/common.hpp: what all four classes share: times, results, words on standard error,
// and the memory of their private objects. No C++ run-time is needed: nothing throws.
#pragma once
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <vdset.h>
#include <new>

namespace sqlvdi {

constexpr int64_t millisecond_ns = 1'000'000;
constexpr int64_t second_ns = 1'000'000'000;

/// A time of the interface as vdset.h wants it: negative, or 0xFFFFFFFF and above, is for ever.
int64_t timeout_ns(time_t timeout, int64_t unit_ns);

/// The unit of GetCommand's time: seconds, or milliseconds when the environment says so.
int64_t get_command_unit_ns();

/// The result of a call on behalf of `what`. An object that is not open is a call in the wrong
/// state. Writes a line on standard error if that was asked for.
int give(const char* what, int32_t result);

class Locked {
 public:
  explicit Locked(pthread_mutex_t& lock) : lock_(lock) { pthread_mutex_lock(&lock_); }
  ~Locked() { pthread_mutex_unlock(&lock_); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  pthread_mutex_t& lock_;
};

/// A zeroed and then constructed object, or null.
template <class T>
T* make() {
  void* const memory = calloc(1, sizeof(T));
  return memory != nullptr ? new (memory) T : nullptr;
}
template <class T>
void unmake(T* object) {
  if (object == nullptr) return;
  object->~T();
  free(object);
}

/// The private object behind a class, made when it is first needed; one, whoever else needs it at
/// the same time. Null: no memory.
template <class T>
T* make_once(T*& place) {
  T* there = __atomic_load_n(&place, __ATOMIC_ACQUIRE);
  if (there != nullptr) return there;
  T* const fresh = make<T>();
  if (fresh == nullptr ||
      __atomic_compare_exchange_n(&place, &there, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    return fresh;
  unmake(fresh);
  return there;
}
/// Null while it is not made.
template <class T>
T* made(T* const& place) {
  return __atomic_load_n(&place, __ATOMIC_ACQUIRE);
}

/// Devices of a set: those of the open set, and spare ones. A device outlives the set it was opened
/// in, so that a pointer kept too long meets an object that refuses.
template <class Device>
struct Devices {
  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  Device* open = nullptr;
  Device* spare = nullptr;

  /// A device in nobody's hands, or null.
  Device* take_spare() {
    const Locked guard(lock);
    Device* const device = spare != nullptr ? spare : make<Device>();
    if (spare != nullptr) spare = spare->next;
    return device;
  }
  void put_spare(Device* device) {
    const Locked guard(lock);
    device->next = spare;
    spare = device;
  }
  void put_open(Device* device) {
    const Locked guard(lock);
    device->next = open;
    open = device;
  }
  /// The set is closed.
  void retire() {
    const Locked guard(lock);
    while (open != nullptr) {
      Device* const device = open;
      open = device->next;
      device->retire();
      device->next = spare;
      spare = device;
    }
  }
  ~Devices() {
    retire();
    while (spare != nullptr) {
      Device* const device = spare;
      spare = device->next;
      unmake(device);
    }
  }
};

}  // namespace sqlvdi
