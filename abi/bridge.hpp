// abi/bridge.hpp: pollable descriptors. One thread of this process sleeps on the event words for
// all who sleep in an event loop, and makes their descriptors readable
// (docs/decisions/0050-a-bridge-thread-for-descriptors.md). A peer with a wake connection makes
// them readable itself when there is a command or a completion
// (docs/decisions/0082-wake-connections.md); for all else, and all others, there is the bridge.
//
// To a peer without one the waiter is an armed bell, one more thread asleep.
#pragma once
#include "abi/wake_end.hpp"

namespace vdset {

/// What a descriptor tells of.
struct Source {
  void* object;
  /// The word that changes when there may be something. Read before each sleep of the bridge.
  const core::Word& (*word)(void* object);
  core::Word* bell;  // The armed bell that `word` is; null for a word that is always bumped.
  /// By the bridge's thread, under the pollable's lock.
  bool (*ready)(void* object);
  /// The connections by which peers may wake it, if there are any.
  std::uint32_t end_count = 0;
  WakeEnd& (*end)(void* object, std::uint32_t i) = nullptr;
  bool invites = false;  // A server's: the peers ask for the connections.
};

class Bridge;

/// One descriptor: armed by its consumer, made readable by a peer's look, the bridge or arm itself.
struct Pollable {
  Pollable() = default;
  port::Mutex lock;  // Guards the rest. Outermost: taken with no other lock held.
  Bridge* bridge = nullptr;
  Source source{};
  int signal = -1;        // An eventfd of this process.
  int descriptor = -1;    // The same, or a poll set of it and the wake ends.
  bool readable = false;  // By the signal.
  std::uint32_t armed_by = 0;
  std::int64_t deadline_ns = port::never;  // Readable then, whatever happens.
  std::atomic<bool> armed{false};          // Written under the lock.
  std::atomic<bool> polled{false};         // It has a descriptor, from now on.
};

/// What the bridges of an object look after, beside its descriptors.
struct BridgeOwner {
  void* object;
  /// The word that tells of the peer's death, or null while there is none.
  const core::Word* (*alive)(void* object);
  /// Latches and spreads the end of the set: whoever is woken by a death has to.
  bool (*is_over)(void* object);
};

/// The bridges of one set or server: one thread with futex_waitv, else one for each descriptor.
struct BridgeHome {
  BridgeHome() = default;
  port::Mutex lock;
  Bridge* first = nullptr;
};

/// The descriptor; makes it, and the thread, at the first call. Any thread.
std::int32_t open_pollable(BridgeHome& home, const BridgeOwner& owner, Pollable& pollable,
                           const Source& source, int* out);
/// Clears the descriptor and makes it readable again as soon as source.ready, `now`, or the
/// deadline says so. One thread at a time. `before` runs under the lock, before the bell is armed.
std::int32_t arm_pollable(Pollable& pollable, const char* what, bool now,
                          std::int64_t deadline_ns = port::never,
                          void (*before)(void* object) = nullptr);
/// Whether there is anything to be done for an event loop.
inline bool is_polled(const Pollable& pollable) {
  return pollable.polled.load(std::memory_order_relaxed);
}
/// What a call that fetches does about an armed descriptor: a wait of its own takes the bell over,
/// and who got something does not sleep.
inline bool is_armed(const Pollable& pollable) {
  return pollable.armed.load(std::memory_order_relaxed);
}
void disarm_pollable(Pollable& pollable);

/// How often a slice found what a wake should have told: lost wakes, of a hostile peer's making.
std::uint32_t rescue_count(BridgeHome& home);
/// Ends the threads; makes every descriptor readable, then closes it. No lock held.
void close_bridges(BridgeHome& home);
/// In a forked child: closes the descriptors; the threads are not there.
void drop_bridges(BridgeHome& home);

}  // namespace vdset
