// abi/wake_end.cpp: see wake_end.hpp.
#include "abi/wake_end.hpp"
#include <cerrno>

namespace vdset {
namespace {

// More than a socket holds of an honest peer's looks: who has sent more sends without end.
constexpr int looks_max = 2048;
// As in WakeGuard: more wakes than these for nothing are of a hostile peer.
constexpr unsigned futile_max = 64;

}  // namespace

/// Under the lock, as the next two.
void WakeEnd::end() {
  if (socket_ >= 0 && met_ && poller_ >= 0) port::poller_remove(poller_, socket_);
  port::socket_end(socket_);
}

/// One that cannot be polled must not take looks.
void WakeEnd::enter_poller() {
  if (socket_ >= 0 && met_ && poller_ >= 0 && port::poller_add(poller_, socket_, key_, false) < 0)
    port::socket_end(socket_);
}

void WakeEnd::meet() {
  if (socket_ < 0 || met_) return;
  const int got = port::look_receive(socket_);
  if (got < 0) end();
  met_ = got > 0;
  enter_poller();
}

bool WakeEnd::take(int socket) {
  const port::Locked guard(lock_);
  const bool had_one = socket_ >= 0;
  end();
  if (barred_) {
    port::socket_end(socket);
    return had_one;
  }
  socket_ = socket;
  met_ = true;
  enter_poller();
  // After: from here on the client takes its looks for seen.
  if (socket_ >= 0 && port::look_send(socket_) != 0) end();
  return had_one;
}

void WakeEnd::await(int socket) {
  const port::Locked guard(lock_);
  end();
  if (barred_) return port::socket_end(socket);
  socket_ = socket;
  met_ = false;
}

bool WakeEnd::is_open() {
  const port::Locked guard(lock_);
  return socket_ >= 0;
}

void WakeEnd::close() {
  const port::Locked guard(lock_);
  end();
  barred_ = false;
  futile_.store(0, std::memory_order_relaxed);
}

void WakeEnd::join(int poller, std::uint64_t key) {
  const port::Locked guard(lock_);
  poller_ = poller;
  key_ = key;
  enter_poller();
}

void WakeEnd::leave() {
  const port::Locked guard(lock_);
  if (socket_ >= 0 && met_ && poller_ >= 0) port::poller_remove(poller_, socket_);
  poller_ = -1;
}

bool WakeEnd::is_pending() {
  const port::Locked guard(lock_);
  meet();
  return socket_ >= 0 && !met_;
}

bool WakeEnd::is_met() {
  const port::Locked guard(lock_);
  meet();
  return socket_ >= 0 && met_;
}

void WakeEnd::clear() {
  const port::Locked guard(lock_);
  const bool lone = uses_.exchange(0, std::memory_order_relaxed) == 1;
  if (socket_ < 0 || !met_) return;
  int taken = 0;
  int got = 1;
  while (got == 1 && taken < looks_max) {
    got = port::look_receive(socket_);
    taken += got == 1;
    // One command came, so an honest peer has sent no other: its first ends the arming. One taken
    // leaves room for one: the next look fits, and makes an edge, so that raise may take a full
    // socket for one that has told.
    if (lone && taken == 1) break;
  }
  const bool came = taken > 0 || got < 0;
  barred_ = came && futile_.fetch_add(1, std::memory_order_relaxed) >= futile_max;
  if (got < 0 || taken == looks_max || barred_) end();
}

bool WakeEnd::raise() {
  const port::Locked guard(lock_);
  meet();
  if (socket_ < 0 || !met_) return false;
  const int error = port::look_send(socket_);
  if (error == 0 || error == -EAGAIN) return true;  // Unread ones: it is readable.
  if (poller_ < 0) end();  // Else clear does it: what the peer has sent before is still to be seen.
  return false;
}

}  // namespace vdset
