// core/doorbell.hpp: event words: when to sleep and whom to wake. Decides only; the host port
// sleeps and wakes.
// Layer core: freestanding. Edges `sleep` and `notice` (docs/memory-model.md).
//
// An armed bell (agent, device) has one waiter, who alone sets and clears its bits, so that a
// publisher who dies between the bump and the wake leaves them set and the next publisher wakes.
// Bit 0: it sleeps on the word. Bit 1: so, but who can reach its descriptor need not wake the word.
// The set's bell has any number of waiters and is always forced.
#pragma once
#include "core/atomics.hpp"
#include "core/words.hpp"

namespace vdset::core {

/// Call after the condition was published with a seq_cst store. Not 0: the bits that were armed;
/// the caller must wake the sleepers of `bell`.
template <class A>
[[nodiscard]] inline std::uint32_t ring_bell(A& a, Word& bell) {
  // Edge sleep: either this load sees the waiter's bit, or the waiter's re-check sees the
  // condition.
  const std::uint32_t armed =
      a.template load<Site::bell_check>(bell) & (event_armed | event_descriptor);
  if (armed != 0) a.template fetch_add<Site::bell_bump>(bell, event_step);
  return armed;
}

/// For rare events (abort, death, recall, close, state): needs no seq_cst condition. The caller
/// must wake, always.
template <class A>
inline void force_bell(A& a, Word& bell) {
  // Edge notice: a waiter that arms after this sees the condition; one that armed before finds
  // another value.
  a.template fetch_add<Site::bell_force>(bell, event_step);
}

/// Announces a sleeper, by bit 0 or bit 1. Check the condition after this, then sleep on the
/// returned value, then disarm.
template <class A>
[[nodiscard]] inline std::uint32_t arm_bell(A& a, Word& bell, std::uint32_t by = event_armed) {
  return a.template fetch_or<Site::bell_arm>(bell, by) | by;
}

template <class A>
inline void disarm_bell(A& a, Word& bell) {
  a.template fetch_and<Site::bell_disarm>(bell, ~(event_armed | event_descriptor));
}

/// For the set's bell: the value to sleep on. Check the condition after this.
template <class A>
[[nodiscard]] inline std::uint32_t watch_bell(A& a, const Word& bell) {
  return a.template load<Site::bell_watch>(bell);
}

}  // namespace vdset::core
