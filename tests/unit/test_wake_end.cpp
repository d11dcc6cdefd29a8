// tests/unit/test_wake_end.cpp
// Goal: an end of a wake connection says what it promises, whatever the peer does with its own.
// Method: a real socket pair; the test is the peer.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <cerrno>
#include "abi/wake_end.hpp"
#include "tests/unit/system.hpp"

using namespace vdset;
using namespace vdset::unit;

namespace {

/// An end, in a poll set of its own, and the peer's socket.
struct Rig {
  WakeEnd end;
  int poller = port::poller_create();
  int peer = -1;
  Rig() { end.join(poller, 7); }
  ~Rig() {
    end.close();
    port::close_descriptor(peer);
    port::close_descriptor(poller);
  }
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  int make_pair() {
    int pair[2] = {-1, -1};
    REQUIRE(port::socket_make_pair(pair) == 0);
    port::close_descriptor(peer);
    peer = pair[1];
    return pair[0];
  }
  bool is_readable() const { return port::wait_readable(poller, 0) == 1; }
  /// As a client that the server has answered.
  void meet() {
    end.await(make_pair());
    REQUIRE(port::look_send(peer) == 0);
    REQUIRE_FALSE(end.is_pending());
  }
};

}  // namespace

TEST_CASE("a client's end does nothing until the server has looked") {
  Rig rig;
  CHECK_FALSE(rig.end.raise());
  rig.end.await(rig.make_pair());
  CHECK(rig.end.is_open());
  CHECK_FALSE(rig.end.raise());
  CHECK(rig.end.is_pending());
  CHECK(port::look_receive(rig.peer) == 0);
  REQUIRE(port::look_send(rig.peer) == 0);
  CHECK_FALSE(rig.is_readable());  // Not in the poll set yet.
  CHECK_FALSE(rig.end.is_pending());
  CHECK_FALSE(rig.is_readable());
  CHECK(rig.end.raise());
  CHECK(port::look_receive(rig.peer) == 1);
}

TEST_CASE("a server's end tells its client at once, and takes the place of the one before") {
  Rig rig;
  rig.end.take(rig.make_pair());
  CHECK(port::look_receive(rig.peer) == 1);
  CHECK_FALSE(rig.end.is_pending());
  const int old = rig.peer;
  rig.peer = -1;
  rig.end.take(rig.make_pair());
  CHECK(port::is_hung_up(old));
  close(old);
  CHECK(port::look_receive(rig.peer) == 1);
  REQUIRE(port::look_send(rig.peer) == 0);
  CHECK(rig.is_readable());
}

TEST_CASE("looks make the poll set readable, clear takes all of them") {
  Rig rig;
  rig.meet();
  for (int looks : {1, 2, 3, 100}) {
    for (int i = 0; i < looks; ++i)
      REQUIRE(port::look_send(rig.peer) == 0);
    CHECK(rig.is_readable());
    rig.end.clear();
    CHECK_FALSE(rig.is_readable());
    rig.end.clear();
    rig.end.note_use(2);
  }
  CHECK(rig.end.is_open());
}

TEST_CASE("after one command one look is taken, and what is left of others at the next time") {
  Rig rig;
  rig.meet();
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 3; ++i)
      REQUIRE(port::look_send(rig.peer) == 0);
    rig.end.note_use();
    rig.end.clear();
    CHECK(rig.is_readable());
    rig.end.clear();
    CHECK_FALSE(rig.is_readable());
  }
  CHECK(rig.end.is_open());
}

TEST_CASE("after every clear the next look fits, and makes an edge") {
  Rig rig;
  rig.meet();
  const int outer = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{EPOLLIN | EPOLLET, {}};
  REQUIRE(epoll_ctl(outer, EPOLL_CTL_ADD, rig.poller, &event) == 0);
  for (int round = 0; round < 4; ++round) {
    while (port::look_send(rig.peer) == 0) {
    }
    while (epoll_wait(outer, &event, 1, 0) == 1) {
    }
    if (round % 2 == 0) rig.end.note_use();
    rig.end.clear();
    CHECK(epoll_wait(outer, &event, 1, 0) == 0);
    CHECK(port::look_send(rig.peer) == 0);
    CHECK(epoll_wait(outer, &event, 1, 0) == 1);
  }
  close(outer);
}

TEST_CASE("a peer that does not read never makes the waker wait: it is readable") {
  const Deadline deadline;
  Rig rig;
  rig.meet();
  for (int i = 0; i < 100'000; ++i)
    REQUIRE(rig.end.raise());
  CHECK(port::look_send(rig.peer) == 0);
  int flags = fcntl(rig.peer, F_GETFL);
  REQUIRE(fcntl(rig.peer, F_SETFL, flags & ~O_NONBLOCK) == 0);  // Its own, not ours.
  CHECK(rig.end.raise());
  rig.end.clear();
  CHECK_FALSE(rig.is_readable());
}

TEST_CASE("a peer that hangs up or shuts down is waked by its word from then on") {
  for (const int how : {-1, int{SHUT_RD}, int{SHUT_WR}, int{SHUT_RDWR}}) {
    CAPTURE(how);
    Rig rig;
    rig.meet();
    const std::size_t before = descriptor_count();
    REQUIRE(port::look_send(rig.peer) == 0);
    if (how < 0)
      port::close_descriptor(rig.peer);
    else
      REQUIRE(shutdown(rig.peer, how) == 0);
    const bool still = rig.end.raise();
    CHECK(still == (how == SHUT_WR));  // That one still reads.
    CHECK(rig.is_readable());          // The look that came before is seen all the same.
    for (int i = 0; i < 3; ++i)
      rig.end.clear();
    if (how == SHUT_RD) continue;  // Nothing tells of it but the next raise.
    CHECK_FALSE(rig.end.is_open());
    CHECK_FALSE(rig.is_readable());
    CHECK_FALSE(rig.end.raise());
    CHECK(descriptor_count() == before - (how < 0 ? 2 : 1));
  }
}

TEST_CASE("an end that nobody polls closes itself at the first look that fails") {
  WakeEnd end;
  int pair[2] = {-1, -1};
  REQUIRE(port::socket_make_pair(pair) == 0);
  end.take(pair[0]);
  CHECK(end.raise());
  port::close_descriptor(pair[1]);
  CHECK_FALSE(end.raise());
  CHECK_FALSE(end.is_open());
}

TEST_CASE("whatever is not a look ends the connection") {
  for (int kind = 0; kind < 3; ++kind) {
    CAPTURE(kind);
    Rig rig;
    rig.meet();
    REQUIRE(port::look_send(rig.peer) == 0);
    const char bytes[] = {'v', 'v', 0};
    switch (kind) {
      case 0: REQUIRE(send(rig.peer, "x", 1, 0) == 1); break;
      case 1: REQUIRE(send(rig.peer, bytes, 2, 0) == 2); break;
      default: REQUIRE(send(rig.peer, bytes, 0, 0) == 0); break;
    }
    rig.end.clear();
    CHECK_FALSE(rig.end.is_open());
    CHECK_FALSE(rig.is_readable());
  }
}

TEST_CASE("who looks 64 times for nothing is not heard again, until the device is another's") {
  constexpr int allowed = 64;
  Rig rig;
  rig.meet();
  const auto look = [&] {
    REQUIRE(port::look_send(rig.peer) == 0);
    rig.end.clear();
  };
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < allowed; ++i)
      look();
    CHECK(rig.end.is_open());
    rig.end.note_use();
  }
  for (int i = 0; i <= allowed; ++i)
    look();
  CHECK_FALSE(rig.end.is_open());
  rig.end.await(rig.make_pair());
  CHECK_FALSE(rig.end.is_open());
  CHECK_FALSE(rig.end.take(rig.make_pair()));
  CHECK_FALSE(rig.end.is_open());
  CHECK(port::is_hung_up(rig.peer));
  rig.end.close();
  CHECK_FALSE(rig.end.take(rig.make_pair()));
  CHECK(rig.end.is_open());
  CHECK(rig.end.take(rig.make_pair()));  // In the place of the one before.
  CHECK(rig.end.is_open());
}

TEST_CASE("descriptors that come with a look are not received") {
  Rig rig;
  rig.meet();
  const std::size_t before = descriptor_count();
  char look = 'v';
  port::Packet packet{reinterpret_cast<std::byte*>(&look), 1, {}, 1};
  packet.descriptors[0] = rig.poller;
  REQUIRE(port::packet_send(rig.peer, packet) == 0);
  rig.end.clear();
  CHECK(descriptor_count() == before);
}

TEST_CASE("the first thing a server says must be a look, too") {
  Rig rig;
  rig.end.await(rig.make_pair());
  REQUIRE(send(rig.peer, "refused", 7, 0) == 7);
  CHECK_FALSE(rig.end.raise());
  CHECK_FALSE(rig.end.is_open());
}

TEST_CASE("a poll set that is left knows nothing of the connection any more") {
  Rig rig;
  rig.meet();
  rig.end.leave();
  REQUIRE(port::look_send(rig.peer) == 0);
  CHECK_FALSE(rig.is_readable());
  CHECK(rig.end.raise());
  rig.end.join(rig.poller, 3);
  CHECK(rig.is_readable());
}
