// abi/wait.hpp: spin, then sleep on an event word (and the word that tells of the
// peer's death).
#pragma once
#include <atomic>
#include "abi/port/port.hpp"
#include "core/doorbell.hpp"

namespace vdset {

#ifdef VDSET_ATOMICS
// The crash sweep compiles the library over a policy that counts and kills.
using Atomics = VDSET_ATOMICS;
#else
using Atomics = core::RealAtomics;
#endif
inline Atomics atomics;

/// A sleep is never longer than this, so that a wake that a hostile peer stole costs at most a
/// slice.
#ifdef VDSET_SLICE_NS
// The crash sweep: so long that a lost wake is a hang.
inline constexpr std::int64_t slice_ns = VDSET_SLICE_NS;
#else
inline constexpr std::int64_t slice_ns = 1'000'000'000;
#endif
// Below the wake latency of common machines spinning flips into a slow mode.
inline constexpr std::int64_t spin_floor_ns = 25'000;
inline constexpr std::int64_t spin_cap_ns = 50'000;
inline constexpr unsigned probe_first = 64;
inline constexpr unsigned probe_last = 4096;

/// How long one waiter spins: 0, or between floor and cap; doubled by a hit, dropped to 0 by
/// misses. From 0 it is tried again after so many waits, the rarer the more often in vain: where
/// both sides share a processor, a waiter that spins only keeps its peer from running.
class SpinBudget {
 public:
  std::int64_t next_ns() {
    if (budget_ns_ > 0 || ++quiet_ < probe_after_) return budget_ns_;
    quiet_ = 0;
    if (probe_after_ < probe_last) probe_after_ *= 2;
    return spin_floor_ns;
  }
  void hit() {
    probe_after_ = probe_first;
    budget_ns_ = budget_ns_ == 0                ? spin_floor_ns
                 : budget_ns_ * 2 < spin_cap_ns ? budget_ns_ * 2
                                                : spin_cap_ns;
  }
  void miss() { budget_ns_ = budget_ns_ > spin_floor_ns ? spin_floor_ns : 0; }

 private:
  std::int64_t budget_ns_ = port::processor_count() > 1 ? spin_floor_ns : 0;
  unsigned quiet_ = 0;
  unsigned probe_after_ = probe_first;
};

/// Whether the word says that the thread it names has ended.
inline bool is_dead(const core::Word* alive) {
  return alive != nullptr && (atomics.load<core::Site::alive_read>(*alive) & port::owner_died) != 0;
}

/// The end of a call's wait. Reads the clock only when asked: a call that finds what it wants has
/// no use for it.
class Timeout {
 public:
  explicit Timeout(std::int64_t timeout_ns) : timeout_ns_(timeout_ns) {}
  std::int64_t at_ns() {
    if (at_ns_ < 0) at_ns_ = port::deadline_after(timeout_ns_);
    return at_ns_;
  }
  /// The first question starts the time.
  bool is_over() {
    if (timeout_ns_ <= 0) return timeout_ns_ == 0;
    return at_ns() <= port::now_ns();
  }

 private:
  std::int64_t timeout_ns_;
  std::int64_t at_ns_ = -1;
};

inline std::int64_t slice_end(std::int64_t deadline_ns) {
  const std::int64_t slice = port::now_ns() + slice_ns;
  return deadline_ns < slice ? deadline_ns : slice;
}

/// One slice of sleep on `word` while it is `value`; ends early when the thread behind `alive`
/// ends.
inline port::Woken sleep_slice(const core::Word& word, std::uint32_t value, const core::Word* alive,
                               std::int64_t deadline_ns) {
  const std::uint32_t alive_value =
      alive != nullptr ? atomics.load<core::Site::alive_read>(*alive) : 0;
  if ((alive_value & port::owner_died) != 0) return port::Woken::maybe;
  return port::wait_word(word, value, alive, alive_value, slice_end(deadline_ns));
}

/// Bounds what wakes for nothing cost: anybody may write the words that others sleep on. After many
/// in one wait it goes on in naps that nobody can end.
class WakeGuard {
 public:
  /// After a sleep that ended without the condition.
  void note(port::Woken woken, std::int64_t deadline_ns) {
    futile_ = woken == port::Woken::timed_out ? 0 : futile_ + 1;
    if (futile_ <= futile_max) return;
    const core::Word own{0};
    const std::int64_t end = port::now_ns() + nap_ns;
    port::wait_word(own, 0, nullptr, 0, deadline_ns < end ? deadline_ns : end);
  }

 private:
  static constexpr unsigned futile_max = 64;
  static constexpr std::int64_t nap_ns = 1'000'000;
  unsigned futile_ = 0;
};

/// Waits on an armed bell until ready() or the deadline; false at the deadline. ready() must be
/// cheap, make no system call, and include abort and death. One waiter per bell.
template <class Ready>
bool wait_on_bell(core::Word& bell, const core::Word* alive, std::int64_t deadline_ns,
                  SpinBudget& spin, Ready ready) {
  const std::int64_t budget = spin.next_ns();
  if (budget > 0) {
    const std::int64_t end = port::now_ns() + budget;
    for (unsigned i = 1;; ++i) {
      if (ready()) {
        spin.hit();
        return true;
      }
      port::cpu_relax();
      if (i % 16 == 0 && port::now_ns() > end) break;
    }
    spin.miss();
  }
  for (WakeGuard guard;;) {
    const std::uint32_t value = core::arm_bell(atomics, bell);
    const bool now = ready();
    port::Woken woken = port::Woken::maybe;
    if (!now) woken = sleep_slice(bell, value, alive, deadline_ns);
    core::disarm_bell(atomics, bell);
    if (now || ready()) return true;
    if (port::now_ns() >= deadline_ns) return false;
    guard.note(woken, deadline_ns);
  }
}

/// A pointer that one thread sets once, after all it leads to; null before. Others see it whole.
template <class T>
class Published {
 public:
  void publish(T* pointer) { pointer_.store(pointer, std::memory_order_release); }
  operator T*() const { return pointer_.load(std::memory_order_acquire); }
  T* operator->() const { return *this; }

 private:
  std::atomic<T*> pointer_{nullptr};
};

}  // namespace vdset
