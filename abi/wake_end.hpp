// abi/wake_end.hpp: an end of the connection on which a client and the server wake each other's
// event loops without the bridge (docs/rendezvous.md, "Wake connections").
//
// What it carries says "look" and nothing else. No send waits, whatever the peer does with its end;
// each side's socket is its own, so that no flag or lock of it is the peer's; and whatever else
// happens on it closes it: then the event word wakes, as if it had never been.
#pragma once
#include <atomic>
#include "abi/wait.hpp"

namespace vdset {

class WakeEnd {
 public:
  WakeEnd() = default;
  WakeEnd(const WakeEnd&) = delete;
  WakeEnd& operator=(const WakeEnd&) = delete;

  /// The server's: of a client that is known. Tells it, in the place of one before.
  /// True: one before is closed, and with it, perhaps, a look that was not seen.
  bool take(int socket);
  /// The client's: does nothing until the server has sent the first look.
  void await(int socket);
  bool is_open();
  void close();
  /// In a forked child, where it is the parent's, too.
  void drop() { port::close_descriptor(socket_); }

  /// From now on its looks make this poll set readable.
  void join(int poller, std::uint64_t key);
  /// The poll set is about to be closed.
  void leave();
  /// Whether the peer may have taken the connection, and the poll set does not show its looks.
  bool is_pending();
  /// Whether the poll set shows every look of the peer.
  bool is_met();
  /// Takes what has come; closes what is of no use any more, or has come again and again without
  /// anything to be had.
  void clear();
  /// So much of what it tells of was there. By the one thread that is in the waiting call, without
  /// the lock.
  void note_use(unsigned count = 1) {
    uses_.store(uses_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
    if (futile_.load(std::memory_order_relaxed) != 0) futile_.store(0, std::memory_order_relaxed);
  }

  /// Makes the peer's descriptor readable. False: wake it by its event word.
  bool raise();

 private:
  void end();
  void enter_poller();
  void meet();

  port::Mutex lock_;  // Innermost: nothing else is taken under it.
  int socket_ = -1;
  bool met_ = false;
  bool barred_ = false;  // Takes no other before close is called: its peer looks for nothing.
  std::atomic<unsigned> uses_{0};    // Since the last clear.
  std::atomic<unsigned> futile_{0};  // Times that looks had come since it was of use.
  int poller_ = -1;
  std::uint64_t key_ = 0;
};

/// What a publisher owes those whom ring_bell found.
inline void wake_waiter(core::Word& bell, std::uint32_t armed, WakeEnd& end) {
  if (armed != core::event_descriptor || !end.raise()) port::wake_word(bell);
}

}  // namespace vdset
