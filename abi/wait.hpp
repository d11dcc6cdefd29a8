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
/// slice. 64 threads with nothing to do then cost a processor less than a thousandth.
#ifdef VDSET_SLICE_NS
// The crash sweep: so long that a lost wake is a hang.
inline constexpr std::int64_t slice_ns = VDSET_SLICE_NS;
#else
inline constexpr std::int64_t slice_ns = 2'000'000'000;
#endif
// Longer than a sleeper needs to be awake: with less, two sides that have once slept would wait
// asleep for each other for good. And twice what a megabyte takes to be read (decision 0062).
inline constexpr std::int64_t spin_ns = 100'000;
inline constexpr unsigned misses_max = 2;
inline constexpr unsigned probe_first = 64;
inline constexpr unsigned probe_last = 4096;

/// Whether one waiter spins before it sleeps: until two spins in a row were in vain. Then it is
/// tried again after so many waits, the rarer the more often in vain: where both sides share a
/// processor, a waiter that spins only keeps its peer from running.
class SpinBudget {
 public:
  std::int64_t next_ns() {
    if (slept_out_) {
      slept_out_ = false;
      return 0;
    }
    if (misses_ < misses_max) return spin_ns;
    if (++quiet_ < probe_after_) return 0;
    quiet_ = 0;
    if (probe_after_ < probe_last) probe_after_ *= 2;
    return spin_ns;
  }
  void hit() {
    misses_ = 0;
    probe_after_ = probe_first;
  }
  void miss() {
    if (misses_ < misses_max) ++misses_;
  }
  /// A wait ended with its time: the next one is likely to go on with it, asleep.
  void slept_out() { slept_out_ = true; }

 private:
  bool slept_out_ = false;
  unsigned misses_ = port::processor_count() > 1 ? 0 : misses_max;
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

/// Looks again and again until ready() or the end of the budget. The longer it has waited the rarer
/// it looks: a few hundredths late at most, and what runs on the other half of this core is left
/// its share.
template <class Ready>
bool spin_until(std::int64_t start_ns, std::int64_t budget_ns, Ready ready) {
  constexpr unsigned pauses_per_clock = 16;
  unsigned pauses = 1;
  for (unsigned since_clock = 0;;) {
    if (ready()) return true;
    for (unsigned i = 0; i < pauses; ++i)
      port::cpu_relax();
    since_clock += pauses;
    if (since_clock < pauses_per_clock) continue;
    since_clock = 0;
    const std::int64_t waited_ns = port::now_ns() - start_ns;
    if (waited_ns > budget_ns) return false;
    pauses = 1 + static_cast<unsigned>(waited_ns) / 1024;
  }
}

/// Waits on an armed bell until ready() or the deadline; false at the deadline. ready() must be
/// cheap, make no system call, and include abort and death; look(), which is asked while it spins,
/// may also take what it finds. One waiter per bell.
template <class Ready, class Look>
bool wait_on_bell(core::Word& bell, const core::Word* alive, std::int64_t deadline_ns,
                  SpinBudget& spin, Ready ready, Look look) {
  const std::int64_t budget = spin.next_ns();
  if (budget > 0) {
    if (spin_until(port::now_ns(), budget, look)) {
      spin.hit();
      return true;
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
    if (port::now_ns() >= deadline_ns) {
      spin.slept_out();
      return false;
    }
    guard.note(woken, deadline_ns);
  }
}

template <class Ready>
bool wait_on_bell(core::Word& bell, const core::Word* alive, std::int64_t deadline_ns,
                  SpinBudget& spin, Ready ready) {
  return wait_on_bell(bell, alive, deadline_ns, spin, ready, ready);
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
