// abi/library.hpp: the one library thread of a process, and the list of its open roles. The only
// process-wide state.
//
// The thread runs while a primary or server role is open (and, where the kernel has no futex_waitv,
// a secondary: it then watches for
// the server's end). It answers hellos and requests, watches deaths, and owns the alive words. All
// control state of all roles is
// touched under one lock, taken by the thread around each event and by calls that are not the data
// path. Nothing under it blocks.
#pragma once
#include <atomic>
#include <cstdint>
#include "abi/port/port.hpp"

namespace vdset {

/// What the library thread calls for a role; under the lock.
struct Role {
  void (*ready)(Role& role, std::uint32_t tag) = nullptr;   // A watched descriptor has something.
  void (*tick)(Role& role, std::int64_t now_ns) = nullptr;  // The deadline has come.
  // In a forked child: close descriptors, mark foreign.
  void (*forked)(Role& role) = nullptr;
  std::int64_t deadline_ns = port::never;
  // Another: of peers whose sockets hung up while it is not known whether they die.
  std::int64_t parting_ns = port::never;
  std::atomic<bool> attention{false};  // Set by any thread, then nudge(): tick is called soon.
  Role* next = nullptr;
  bool needs_thread = false;
};

namespace library {

/// Opens a role; starts the thread if it is the first that needs it. 0 or -errno.
int enter(Role& role);
/// Closes a role: afterwards nothing calls it. Not under the lock. Ends the thread with the last
/// role that needs it.
void leave(Role& role);

port::Mutex& lock();

/// A watch's number, or -errno; under the lock.
int watch(Role& role, int descriptor, std::uint32_t tag, bool hangup_only = false);
/// Ends it; ignores negative numbers; sets the variable to -1; under the lock.
void unwatch(int& watch);
/// A process that ends closes its files before its pidfd tells. Where /proc does not show which it
/// is, so long after the hang-up who is not dead has left.
inline constexpr std::int64_t parting_wait_ns = 1'000'000'000;
/// Makes the thread look at deadlines again.
void nudge();
/// Thread id to put into alive words; 0 without a thread.
std::uint32_t thread_id();
/// A descriptor that is always readable, as long as this process lives; made at the first call, and
/// anew where this process has closed it and perhaps opened something else under its number.
int readable_for_ever();
/// It is in as many poll sets as the kernel allows, or another file is kept open in its place: it
/// stays, and who asks from now on gets another.
void keep_for_ever();
/// How many descriptors stay open, so that a test can tell them from lost ones.
std::uint32_t kept_descriptors();

}  // namespace library
}  // namespace vdset
