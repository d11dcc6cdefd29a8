// tests/process/test_parting.cpp: between the hang-up of a process's sockets and its end: whoever
// takes long to die has died and not left, and nobody waits for it.
#include <doctest/doctest.h>
#include <cstdlib>
#include <memory>
#include <string>
#include "tests/process/held.hpp"

using namespace process;

namespace {

constexpr unsigned call_died = 3;

/// Of the set's 16 buffers; takes them.
unsigned count_buffers(Role& server) {
  unsigned count = 0;
  while (server.call("allocate 4096 0").ok())
    ++count;
  return count;
}

/// A secondary that holds a command and is killed, but whose end takes long. `finish` lets it end.
struct Dying {
  explicit Dying(const std::string& create)
      : held(create), secondary(held.stage.add("secondary", namespaced_user)) {
    secondary.ok("join held");
    secondary.ok("open held.1");
    id = held.send(7);
    secondary.ok("get -1");
    steps = std::make_unique<LastSteps>(secondary);
    secondary.kill();
  }
  /// The server has long seen the hang-up, and takes it neither for a death nor for a leave.
  void expect_undecided() {
    for (int i = 0; i < 50; ++i)
      held.expect_others_work();
    held.server.refuse("completion 300", "NONE");
    Role& other = held.stage.add("other");
    other.ok("join held");
    other.refuse("open held.1", "VDSET_E_OPEN");
    other.ok("close");
  }

  Held held;
  Role& secondary;
  std::uint64_t id = 0;
  std::unique_ptr<LastSteps> steps;
};

}  // namespace

TEST_CASE("what a secondary held that is long in dying is handed over once it is dead") {
  if (!can_unshare()) return;
  Dying dying("hand_over=1");
  dying.expect_undecided();
  dying.steps->finish();
  Role& next = dying.held.stage.add("next");
  next.ok("join held");
  next.until_ok("open held.1");
  const Answer got = next.ok("get -1");
  CHECK(got.number("flags") == 1);
  CHECK(got.number("position") == 7);
  CHECK(next.ok("check " + got.at("buffer") + " 4096 7").number("equal") == 1);
  next.ok("complete " + got.at("id") + " 0 4096");
  const Answer done = dying.held.server.ok("completion");
  CHECK(done.number("id") == dying.id);
  CHECK(done.signed_number("code") == 0);
  dying.held.end();
}

TEST_CASE("what a secondary held that is long in dying fails once it is dead, its buffer is back") {
  if (!can_unshare()) return;
  Dying dying("");
  dying.expect_undecided();
  dying.steps->finish();
  const Answer done = dying.held.server.ok("completion");
  CHECK(done.number("id") == dying.id);
  CHECK(done.signed_number("code") == 995);
  dying.held.server.ok("free " + dying.held.buffer);
  CHECK(count_buffers(dying.held.server) == 16);
  dying.held.end();
}

TEST_CASE("a primary that is long in dying ends the set at once, as one that died") {
  if (!can_unshare()) return;
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary", namespaced_user);
  primary.ok("create slow");
  server.ok("server-open slow");
  LastSteps steps(primary);
  primary.kill();
  server.until("server-configuration", "VDSET_E_ABORT");
  const Answer reason = server.ok("server-reason");
  CHECK(reason.number("role") == 2);
  CHECK(reason.number("call") == call_died);
  server.ok("server-close");
}

TEST_CASE("a server that is long in dying ends the set at once, as one that died") {
  if (!can_unshare()) return;
  Stage stage;
  Role& server = stage.add("server", namespaced_user);
  Role& primary = stage.add("primary");
  primary.ok("create slow");
  server.ok("server-open slow");
  primary.start("configuration", "configuration -1");
  LastSteps steps(server);
  server.kill();
  primary.wait_refused("configuration", "VDSET_E_ABORT");
  const Answer reason = primary.ok("reason");
  CHECK(reason.number("role") == 1);
  CHECK(reason.number("call") == call_died);
  primary.ok("close");
}

TEST_CASE(
    "240 that let go of their sockets at once keep nobody waiting, and make room in the end") {
  Held held("");
  Role& crowd = held.stage.add("crowd");
  crowd.ok("join-often 240 held");
  crowd.ok("close-descriptors");
  // Were each waited for a while, it would be longer than the watchdog's patience.
  Role& next = held.join("next");
  const std::uint64_t id = held.send(3);
  next.ok("complete " + next.ok("get -1").at("id") + " 0 4096");
  CHECK(held.server.ok("completion").number("id") == id);
  crowd.kill();
  for (int i = 0; i < 240; ++i)
    next.until_ok("join held");
  held.end();
}

TEST_CASE("where /proc shows nothing, who lets go of its sockets has left after a while") {
  REQUIRE(setenv("VDSET_FAULT", "proc:2", 1) == 0);
  Held held("hand_over=1");
  unsetenv("VDSET_FAULT");
  Role& killed = held.join("killed");
  const std::uint64_t first = held.send(1);
  killed.ok("get -1");
  killed.kill();
  Role& leaver = held.stage.add("leaver");
  leaver.ok("join held");
  leaver.until_ok("open held.1");
  const Answer got = leaver.ok("get -1");
  CHECK(got.number("flags") == 1);
  leaver.ok("close-descriptors");
  held.expect_others_work();
  const Answer done = held.server.ok("completion");
  CHECK(done.number("id") == first);
  CHECK(done.signed_number("code") == 995);
  held.end();
}

/// A secondary takes a command and goes without dying: its buffer is out of use while it lives.
static Role& leave_with_buffer(Held& held, const std::string& how) {
  Role& leaver = held.join("leaver");
  held.send(4);
  leaver.ok("get -1");
  leaver.call(how);
  CHECK(held.server.ok("completion").signed_number("code") == 995);
  return leaver;
}

TEST_CASE("what one who left had fetched comes back when it is dead, if it was freed meanwhile") {
  for (const std::string how : {"close-descriptors", "close"}) {
    CAPTURE(how);
    Held held("");
    Role& leaver = leave_with_buffer(held, how);
    held.server.ok("free " + held.buffer);
    CHECK(count_buffers(held.server) == 15);
    leaver.kill();
    CHECK(held.server.until_ok("allocate 4096 0").at("buffer") == held.buffer);
    CHECK(count_buffers(held.server) == 0);
    held.end();
  }
}

TEST_CASE("what one who left had fetched comes back when it is dead, whenever it is freed") {
  Held held("");
  Role& leaver = leave_with_buffer(held, "close-descriptors");
  CHECK(count_buffers(held.server) == 15);
  leaver.kill();
  for (int i = 0; i < 50; ++i)  // Time for the server to learn of it.
    held.expect_others_work();
  CHECK(count_buffers(held.server) == 0);
  held.server.ok("free " + held.buffer);
  CHECK(held.server.until_ok("allocate 4096 0").at("buffer") == held.buffer);
  held.end();
}

TEST_CASE("what one who left had fetched can be sent again when it is dead, as it was") {
  Held held("");
  Role& leaver = leave_with_buffer(held, "close");
  held.server.ok("fill " + held.buffer + " 4096 11");
  Role& next = held.stage.add("next");
  reopen(held, next);
  const std::string send = "send 2 4096 device=held.1 buffer=" + held.buffer;
  held.server.refuse(send, "VDSET_E_INVALID");
  leaver.kill();
  const std::uint64_t id = held.server.until_ok(send).number("id");
  const Answer got = next.ok("get -1");
  CHECK(next.ok("check " + got.at("buffer") + " 4096 11").number("equal") == 1);
  next.ok("complete " + got.at("id") + " 0 4096");
  CHECK(held.server.ok("completion").number("id") == id);
  held.end();
}
