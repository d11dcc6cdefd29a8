// tests/process/test_death.cpp: SIGKILL and SIGSTOP of every role at every state; who leaves
// politely; fork.
#include <doctest/doctest.h>
#include <csignal>
#include <string>
#include <vector>
#include "tests/process/held.hpp"

using namespace process;

namespace {

constexpr unsigned call_died = 3;
constexpr unsigned call_left = 4;

/// How far a set has come.
enum State { created, opened, begun, ended, named, working, closed, states };
const char* const state_names[] = {"created", "opened",  "begun", "ended",
                                   "named",   "working", "closed"};

/// A set of two devices, one for the primary and one for a secondary, brought to a state.
struct Play {
  Play()
      : server(stage.add("server")),
        primary(stage.add("primary")),
        secondary(stage.add("secondary")) {}

  void bring_to(State state) {
    reached = state;
    primary.ok("create play devices=2");
    if (state >= opened) server.ok("server-open play");
    if (state >= begun) server.ok("begin");
    if (state < ended) primary.start("configuration", "configuration -1");
    if (state < ended) primary.until_asleep("configuration");
    if (state < ended) return;
    server.ok("request 4096 0 4");
    server.ok("end");
    primary.ok("configuration -1");
    secondary.ok("join play");
    if (state < named) return wait_in("open", "open play", "open play.1");
    server.ok("name play");
    server.ok("name play.1");
    server.start("agent", "run-agent");
    primary.ok("open play");
    secondary.ok("open play.1");
    if (state == working) work();
    if (state == closed) return close_devices();
    wait_in("get", "get -1", "get -1");
    server.until_asleep("agent");
  }
  void wait_in(const std::string& lane, const std::string& first, const std::string& second) {
    primary.start(lane, first);
    secondary.start(lane, second);
    primary.until_asleep(lane);
    secondary.until_asleep(lane);
    waiting = lane;
  }
  /// Each client has fetched one command of two.
  void work() {
    for (Role* client : {&primary, &secondary}) {
      const std::string device = client == &primary ? "play" : "play.1";
      for (int i = 0; i < 2; ++i) {
        const std::string buffer = server.ok("allocate 4096 0").at("buffer");
        server.ok("send 2 4096 device=" + device + " buffer=" + buffer);
        client->ok("get -1");
      }
    }
  }
  void close_devices() {
    for (const char* device : {"play", "play.1"})
      server.ok(std::string("close-device device=") + device);
    primary.refuse("get -1", "VDSET_E_CLOSE");
    secondary.refuse("get -1", "VDSET_E_CLOSE");
    server.wait_ok("agent");
  }

  /// A client's wait ends with ABORT, and so does all it calls then; it reads who it was.
  void expect_client_over(Role& client, unsigned role, pid_t pid) {
    CAPTURE(client.name());
    if (reached < ended && &client == &secondary) return;  // Not there yet.
    const std::string lane = reached < ended ? "configuration" : waiting;
    client.wait_refused(lane, "VDSET_E_ABORT");
    client.refuse("configuration 0", "VDSET_E_ABORT");
    expect_death_of(client.ok("reason"), role, pid);
  }
  void expect_server_over(unsigned role, pid_t pid) {
    server.until("server-configuration", "VDSET_E_ABORT");
    if (reached >= named) server.wait_refused("agent", "VDSET_E_ABORT");
    for (int i = 0; reached == working && i < 4; ++i)
      CHECK(server.ok("completion").number("code") == 995);
    server.refuse("completion 0", "NONE");
    expect_death_of(server.ok("server-reason"), role, pid);
  }
  static void expect_death_of(const Answer& reason, unsigned role, pid_t pid) {
    CHECK(reason.number("role") == role);
    CHECK(reason.signed_number("pid") == pid);
    const std::uint64_t call = reason.number("call");
    CHECK_MESSAGE((call == call_died || call == call_left), "call " << call);
  }
  /// The name serves another set, for processes that were there and for new ones.
  void expect_name_free() {
    Role& next_server = server.dead() ? stage.add("next-server") : server;
    Role& next_primary = primary.dead() ? stage.add("next-primary") : primary;
    configure(next_server, next_primary, "play");
    activate(next_server, "play", 1);
    next_primary.ok("open play");
    finish(next_server, next_primary, "play", 1);
    CHECK(stage.nodes().empty());
  }

  Stage stage;
  Role& server;
  Role& primary;
  Role& secondary;
  State reached = created;
  std::string waiting;
};

}  // namespace

TEST_CASE("SIGKILL of the primary at every state ends the set for all, and its name is free" *
          doctest::test_suite("essential")) {
  for (int state = created; state < states; ++state) {
    CAPTURE(state_names[state]);
    Play play;
    play.bring_to(static_cast<State>(state));
    const pid_t pid = play.primary.pid();
    play.primary.kill();
    if (state == closed) {
      play.secondary.ok("close");  // The end had come before.
      play.server.ok("server-close");
    } else if (state != created) {
      play.expect_client_over(play.secondary, 2, pid);
      play.expect_server_over(2, pid);
      if (state >= ended) play.secondary.ok("close");
      play.server.ok("server-close");
    }
    play.expect_name_free();
  }
}

TEST_CASE("SIGKILL of the server at every state ends the set for all, and its name is free" *
          doctest::test_suite("essential")) {
  for (int state = opened; state < states; ++state) {
    CAPTURE(state_names[state]);
    Play play;
    play.bring_to(static_cast<State>(state));
    const pid_t pid = play.server.pid();
    play.server.kill();
    if (state != closed) {
      play.expect_client_over(play.primary, 1, pid);
      play.expect_client_over(play.secondary, 1, pid);
    }
    // The dead server's set is nobody's: neither another server nor a secondary comes in.
    Role& late = play.stage.add("late");
    for (const char* command : {"server-open play", "join play"}) {
      const std::string code = late.call(command).error;
      CHECK_MESSAGE((code == "VDSET_E_ABORT" || (state == closed && code == "VDSET_E_PROTOCOL")),
                    command << ": '" << code << "'");
    }
    if (state >= ended) play.secondary.ok("close");
    play.primary.ok("close");
    play.expect_name_free();
  }
}

TEST_CASE("SIGKILL of a secondary that holds nothing harms nobody") {
  for (const bool with_device : {false, true}) {
    CAPTURE(with_device);
    Held held("");
    for (int i = 0; i < 3; ++i) {
      Role& secondary = held.stage.add("secondary");
      secondary.ok("join held");
      if (with_device) secondary.ok("open held.1");
      if (with_device) secondary.start("get", "get -1");
      if (with_device) secondary.until_asleep("get");
      secondary.kill();
      held.expect_others_work();
    }
    Role& next = held.join("next");
    const std::uint64_t id = held.send(5);
    const Answer got = next.ok("get -1");
    CHECK(got.number("flags") == 0);
    next.ok("complete " + got.at("id") + " 0 4096");
    CHECK(held.server.ok("completion").number("id") == id);
    held.end();
  }
}

TEST_CASE(
    "what a killed secondary had fetched fails with 995, the rest unseen, and ClearError reopens" *
    doctest::test_suite("essential")) {
  for (int round = 0; round < 10; ++round) {
    CAPTURE(round);
    Held held("");
    Role& first = held.join("first");
    std::vector<std::uint64_t> ids;
    for (std::uint64_t i = 0; i < 5; ++i)
      ids.push_back(held.send(i));
    for (int i = 0; i < 3; ++i)
      first.ok("get -1");
    first.ok("complete 2 0 4096");
    CHECK(held.server.ok("completion").number("id") == ids[1]);
    first.kill();
    for (const auto& [id, code] :
         {std::pair{ids[0], 995}, {ids[2], 995}, {ids[3], 1117}, {ids[4], 1117}}) {
      const Answer done = held.server.ok("completion");
      CHECK(done.number("id") == id);
      CHECK(done.signed_number("code") == code);
    }
    held.expect_others_work();
    held.server.refuse("send 12 0 device=held.1", "VDSET_E_IO_ERROR");
    CHECK(held.server.ok("completion").number("code") == 1117);
    held.server.ok("send 3 0 device=held.1");
    Role& second = held.join("second");
    const Answer clear = second.ok("get -1");
    CHECK(clear.number("code") == 3);
    second.ok("complete " + clear.at("id") + " 0");
    CHECK(held.server.ok("completion").number("code") == 0);
    const std::uint64_t id = held.send(9);
    const Answer got = second.ok("get -1");
    CHECK(second.ok("check " + got.at("buffer") + " 4096 9").number("equal") == 1);
    second.ok("complete " + got.at("id") + " 0 4096");
    CHECK(held.server.ok("completion").number("id") == id);
    held.end();
  }
}

TEST_CASE("with the hand-over policy the next opener gets what a killed secondary had fetched" *
          doctest::test_suite("essential")) {
  for (int round = 0; round < 20; ++round) {
    CAPTURE(round);
    Held held("hand_over=1");
    Role& first = held.join("first");
    std::vector<std::uint64_t> ids;
    for (std::uint64_t i = 0; i < 4; ++i)
      ids.push_back(held.send(50 + i));
    for (int i = 0; i < 3; ++i)
      first.ok("get -1");
    first.ok("complete 2 0 4096");
    CHECK(held.server.ok("completion").number("id") == ids[1]);
    first.kill();
    Role& second = held.stage.add("second");
    second.ok("join held");
    Answer opening = second.call("open held.1");
    while (opening.error == "VDSET_E_PROTOCOL")  // Its last consumer's end is not yet known.
      opening = second.call("open held.1");
    REQUIRE_MESSAGE(opening.ok(), opening.error << " " << opening.text);
    for (const std::uint64_t i : {0u, 2u, 3u}) {
      const Answer got = second.ok("get -1");
      CHECK(got.number("position") == 50 + i);
      CHECK(got.number("flags") == (i == 3 ? 0 : 1));  // Redelivered, but for the unfetched one.
      CHECK(second.ok("check " + got.at("buffer") + " 4096 " + std::to_string(50 + i))
                .number("equal") == 1);
      second.ok("complete " + got.at("id") + " 0 4096");
      const Answer done = held.server.ok("completion");
      CHECK(done.number("id") == ids[i]);
      CHECK(done.signed_number("code") == 0);
    }
    held.end();
  }
}

/// The server has closed its devices, with a command that nobody has fetched, or has fetched and
/// not completed. Whoever should do it goes away: the agent must come to its end all the same.
static void expect_agent_ends(bool primary_goes, bool fetched, bool killed) {
  Held held("");
  Role& secondary = held.join("secondary");
  Role& goes = primary_goes ? held.primary : secondary;
  const std::string device = primary_goes ? "held" : "held.1";
  const std::uint64_t id = held.server.ok("send 12 0 device=" + device).number("id");
  if (fetched) goes.ok("get -1");
  held.server.ok("close-device device=held");
  held.server.ok("close-device device=held.1");
  if (killed)
    goes.kill();
  else
    goes.refuse("close", "VDSET_E_OPEN");
  const Answer done = held.server.ok("completion");
  CHECK(done.number("id") == id);
  CHECK(done.number("code") != 0);
  held.server.wait("agent");
  held.server.ok("server-close");
}

TEST_CASE(
    "a secondary that dies with a closed device's last command unfetched lets the agent end") {
  expect_agent_ends(false, false, true);
}
TEST_CASE("a secondary that dies with a closed device's last command fetched lets the agent end") {
  expect_agent_ends(false, true, true);
}
TEST_CASE("a primary that dies with a closed device's last command unfetched lets the agent end") {
  expect_agent_ends(true, false, true);
}
TEST_CASE("a primary that dies with a closed device's last command fetched lets the agent end") {
  expect_agent_ends(true, true, true);
}
TEST_CASE(
    "a secondary that closes with a closed device's last command unfetched lets the agent end") {
  expect_agent_ends(false, false, false);
}
TEST_CASE(
    "a primary that closes with a closed device's last command unfetched lets the agent end") {
  expect_agent_ends(true, false, false);
}

/// The other order: the consumer is gone, its command queued or offered to the next one, and then
/// the device is closed: no next one will come.
static void expect_close_ends(const std::string& options, bool fetched) {
  Held held(options);
  Role& secondary = held.join("secondary");
  const std::uint64_t id = held.server.ok("send 12 0 device=held.1").number("id");
  if (fetched) secondary.ok("get -1");
  secondary.kill();
  for (int i = 0; i < 200; ++i)  // Time for the server to learn of it.
    held.expect_others_work();
  held.server.ok("close-device device=held");
  held.server.ok("close-device device=held.1");
  const Answer done = held.server.ok("completion");
  CHECK(done.number("id") == id);
  CHECK(done.number("code") == 995);
  held.server.wait("agent");
  held.server.ok("server-close");
}

TEST_CASE("a device closed after its consumer died ends what was queued") {
  expect_close_ends("", false);
}
TEST_CASE("a device closed after its consumer died ends what was offered to the next one") {
  expect_close_ends("hand_over=1", true);
}

TEST_CASE("a device that nobody opened ends what was queued when the primary goes after the end") {
  for (bool killed : {false, true}) {
    Held held("");
    const std::uint64_t id = held.server.ok("send 12 0 device=held.1").number("id");
    held.server.ok("close-device device=held");
    held.server.ok("close-device device=held.1");
    held.primary.refuse("get -1", "VDSET_E_CLOSE");
    if (killed)
      held.primary.kill();
    else
      held.primary.ok("close");
    CHECK(held.server.ok("completion").number("id") == id);
    held.server.wait("agent");
    held.server.ok("server-close");
  }
}

TEST_CASE("a stopped secondary is not dead: its commands wait for it") {
  Held held("");
  Role& secondary = held.join("secondary");
  const std::uint64_t id = held.send(3);
  const Answer got = secondary.ok("get -1");
  secondary.stop();
  for (int i = 0; i < 50; ++i)
    held.expect_others_work();
  held.server.refuse("completion 300", "NONE");
  CHECK(held.server.ok("outstanding device=held.1").number("count") == 1);
  Role& other = held.stage.add("other");
  other.ok("join held");
  CHECK_FALSE(other.call("open held.1").ok());
  secondary.proceed();
  secondary.ok("complete " + got.at("id") + " 0 4096");
  CHECK(held.server.ok("completion").number("id") == id);
  held.end();
}

TEST_CASE("an abort reaches everybody although the server is stopped") {
  Held held("");
  Role& secondary = held.join("secondary");
  secondary.start("get", "get -1");
  secondary.until_asleep("get");
  held.server.stop();
  held.primary.ok("abort 9 the server stands still");
  secondary.wait_refused("get", "VDSET_E_ABORT");
  held.primary.refuse("get -1", "VDSET_E_ABORT");
  CHECK(secondary.ok("reason").number("role") == 2);
  held.server.proceed();
  held.server.wait_refused("agent", "VDSET_E_ABORT");
  secondary.ok("close");
  bury(held.server, held.primary);
}

TEST_CASE("a secondary that closes politely frees its device for the next, without an error") {
  Held held("");
  for (std::uint64_t i = 0; i < 5; ++i) {
    Role& secondary = held.join("secondary");
    const std::uint64_t id = held.send(i);
    secondary.ok("complete " + secondary.ok("get -1").at("id") + " 0 4096");
    const Answer done = held.server.ok("completion");
    CHECK(done.number("id") == id);
    CHECK(done.signed_number("code") == 0);
    secondary.refuse("close", "VDSET_E_OPEN");
    // The same process may come again, too.
    secondary.ok("join held");
    Answer again = secondary.call("open held.1");
    CHECK_MESSAGE(again.ok(), again.error << " " << again.text);
    secondary.refuse("close", "VDSET_E_OPEN");
    held.expect_others_work();
  }
  held.end();
}

TEST_CASE(
    "a secondary that lets go of its sockets but lives has left: 995, and the device is free") {
  for (const std::string how : {"exec", "close-descriptors"}) {
    CAPTURE(how);
    Held held("");
    Role& secondary = held.join("secondary");
    const std::uint64_t id = held.send(1);
    secondary.ok("get -1");
    secondary.start("exec", how);
    secondary.wait_ok("exec");
    const Answer done = held.server.ok("completion");
    CHECK(done.number("id") == id);
    CHECK(done.signed_number("code") == 995);
    held.expect_others_work();
    Role& next = held.stage.add("next");
    reopen(held, next);
    held.send(2);
    const Answer got = next.ok("get -1");
    CHECK(next.ok("check " + got.at("buffer") + " 4096 2").number("equal") == 1);
    next.ok("complete " + got.at("id") + " 0 4096");
    CHECK(held.server.ok("completion").number("code") == 0);
    held.end();
  }
}

TEST_CASE("who was taken for gone, but lives, gets no command of its successor's") {
  Held held("");
  Role& secondary = held.join("secondary");
  held.send(1);
  secondary.ok("get -1");
  secondary.start("exec", "close-descriptors");
  secondary.wait_ok("exec");
  CHECK(held.server.ok("completion").signed_number("code") == 995);
  Role& next = held.stage.add("next");
  reopen(held, next);
  held.send(2);
  secondary.refuse("get 100000000", "VDSET_E_ABORT");
  next.ok("complete " + next.ok("get -1").at("id") + " 0 4096");
  held.end();
}

TEST_CASE("who has closed its own descriptors is told so when it asks, and harms nobody") {
  Held held("");
  Role& secondary = held.stage.add("secondary");
  secondary.ok("join held");
  secondary.ok("close-descriptors");
  const Answer asked = secondary.refuse("open held.1", "VDSET_E_UNEXPECTED");
  CHECK(asked.text.find("this process has closed the socket") != std::string::npos);
  held.expect_others_work();
  held.end();
}

TEST_CASE("who has closed its own descriptors gets out of Close all the same") {
  Held held("");
  Role& alone = held.stage.add("alone");
  alone.ok("create alone");
  alone.ok("close-descriptors");
  alone.call("close");
  held.server.ok("close-descriptors");
  held.server.call("server-close");
  held.primary.ok("close-descriptors");
  held.primary.call("close");
}

TEST_CASE("who has closed its own descriptors, and asleep asks nothing, harms nobody either") {
  for (const std::string others : {"none", "tcp"}) {
    CAPTURE(others);
    Held held("");
    Role& secondary = held.join("secondary");
    held.server.stop();  // Or else it would take it for gone before the first slice ends.
    secondary.ok("close-descriptors " + others);
    secondary.refuse("get 4500000000", "VDSET_E_TIMEOUT");
    held.server.proceed();
    held.expect_others_work();
    held.end();
  }
}

TEST_CASE("a primary or a server that lets go of its sockets ends the set") {
  for (const bool server_leaves : {false, true}) {
    CAPTURE(server_leaves);
    Held held("");
    Role& secondary = held.join("secondary");
    secondary.start("get", "get -1");
    secondary.until_asleep("get");
    Role& leaver = server_leaves ? held.server : held.primary;
    const pid_t pid = leaver.pid();
    leaver.start("exec", "exec");
    leaver.wait_ok("exec");
    secondary.wait_refused("get", "VDSET_E_ABORT");
    Play::expect_death_of(secondary.ok("reason"), server_leaves ? 1 : 2, pid);
    if (server_leaves)
      held.primary.refuse("get -1", "VDSET_E_ABORT");
    else
      held.server.wait_refused("agent", "VDSET_E_ABORT");
  }
}

TEST_CASE("processes killed in the middle of anything harm nobody else") {
  Held held("");
  for (unsigned i = 0; i < 40; ++i) {
    Role& secondary = held.stage.add("secondary");
    secondary.start("rounds", i % 2 == 0 ? "rounds 100000 held" : "rounds 20 held device=held.1");
    for (unsigned n = 0; n < i % 7; ++n)
      held.expect_others_work();
    secondary.kill();
    held.stage.drop_last();
    held.expect_others_work();
  }
  Role& next = held.stage.add("next");
  next.ok("join held");
  Answer opened = next.call("open held.1");
  while (opened.error == "VDSET_E_PROTOCOL" || opened.error == "VDSET_E_OPEN")
    opened = next.call("open held.1");
  CHECK_MESSAGE(opened.ok(), opened.error << " " << opened.text);
  held.end();
}

TEST_CASE(
    "SIGKILL of any role in full work ends the others' work with ABORT, or its device's only") {
  for (int round = 0; round < 12; ++round) {
    CAPTURE(round);
    Held held("");
    Role& secondary = held.join("secondary");
    held.primary.start("consume", "consume devices=held");
    secondary.start("consume", "consume devices=held.1");
    held.server.start("first", "produce devices=held count=100000000 size=4096");
    held.server.start("second", "produce devices=held.1 count=100000000 size=4096");
    for (int n = 0; n <= round; ++n)
      held.server.ok("outstanding device=held");
    if (round % 3 == 0) {
      held.primary.kill();
      for (const char* lane : {"first", "second", "agent"})
        held.server.wait_refused(lane, "VDSET_E_ABORT");
      secondary.wait_refused("consume", "VDSET_E_ABORT");
    } else if (round % 3 == 1) {
      held.server.kill();
      held.primary.wait_refused("consume", "VDSET_E_ABORT");
      secondary.wait_refused("consume", "VDSET_E_ABORT");
    } else {
      secondary.kill();
      Role& next = held.stage.add("next");
      next.ok("join held");
      while (!next.call("open held.1").ok())
        continue;  // Until its end is known.
      CHECK_FALSE(held.server.answered("first"));
      CHECK_FALSE(held.server.answered("agent"));
      CHECK_FALSE(held.primary.answered("consume"));
      held.server.ok("server-abort 0");
      held.server.wait_refused("agent", "VDSET_E_ABORT");
      held.server.wait_refused("first", "VDSET_E_ABORT");
      held.primary.wait_refused("consume", "VDSET_E_ABORT");
      // It held a command then, or not.
      const std::string code = held.server.wait("second").error;
      CHECK_MESSAGE((code == "VDSET_E_ABORT" || code == "VDSET_E_IO_ERROR"), code);
    }
  }
}

TEST_CASE("300 rounds of joining and leaving do not exhaust the participants") {
  Held held("");
  Role& secondary = held.stage.add("secondary");
  secondary.ok("rounds 300 held");
  held.expect_others_work();
  secondary.ok("rounds 300 held device=held.1");
  held.expect_others_work();
  held.end();
}

TEST_CASE(
    "253 secondaries are in a set at once, one more is OPEN, and one that leaves makes room") {
  Held held("");
  const Answer crowd = held.stage.add("crowd").ok("crowd held");
  CHECK(crowd.number("most") == 253);
  CHECK(crowd.at("refusal") == "VDSET_E_OPEN");
  CHECK(crowd.at("again") == "VDSET_OK");
  held.expect_others_work();
  held.end();
}

TEST_CASE("300 processes that join and are killed do not exhaust the participants") {
  Held held("");
  for (int i = 0; i < 300; ++i) {
    Stage& stage = held.stage;
    stage.add("secondary").ok("join held");
    stage.drop_last();
  }
  held.expect_others_work();
  held.end();
}

TEST_CASE("a forked child of any role can call nothing of its parent's, and harms nobody" *
          doctest::test_suite("essential")) {
  Held held("");
  Role& secondary = held.join("secondary");
  for (const bool plain_exit : {false, true}) {
    CAPTURE(plain_exit);
    for (Role* role : {&held.server, &held.primary, &secondary}) {
      CAPTURE(role->name());
      const Answer child = role->ok(std::string("fork-child exit=") + (plain_exit ? "1" : "0"));
      CHECK(child.number("told") == 1);
      CHECK(child.number("calls") >= 10);
      CHECK(child.number("notopen") == child.number("calls"));
      CHECK(child.number("status") == 0);
    }
    const std::uint64_t id = held.send(8);
    const Answer got = secondary.ok("get -1");
    CHECK(secondary.ok("check " + got.at("buffer") + " 4096 8").number("equal") == 1);
    secondary.ok("complete " + got.at("id") + " 0 4096");
    CHECK(held.server.ok("completion").number("id") == id);
    held.expect_others_work();
  }
  held.end();
}

TEST_CASE("a forked child makes a set of its own and plays all its roles") {
  Held held("");
  Role& secondary = held.join("secondary");
  for (Role* role : {&secondary, &held.primary, &held.server}) {
    CAPTURE(role->name());
    const Answer child = role->ok("fork-child own=" + role->name() + "-child");
    CHECK(child.number("told") == 1);
    CHECK(child.number("own") == 1);
    CHECK(child.number("status") == 0);
    held.expect_others_work();
  }
  held.end();
}

TEST_CASE("a forked child of a primary that waits for its server does not hold the name") {
  Stage stage;
  Role& primary = stage.add("primary");
  Role& other = stage.add("other");
  primary.ok("create forked");
  const Answer child = primary.ok("fork-child");
  CHECK(child.number("notopen") == child.number("calls"));
  other.refuse("create forked", "VDSET_E_PROTOCOL");
  primary.ok("close");
  other.ok("create forked");
  other.ok("close");
}

TEST_CASE("a child that keeps all sockets of a killed process does not hide its death") {
  for (const std::string who : {"secondary", "primary", "server"}) {
    CAPTURE(who);
    Held held("");
    Role& secondary = held.join("secondary");
    const std::uint64_t id = held.send(1);
    secondary.ok("get -1");
    Role& dies = who == "secondary" ? secondary : who == "primary" ? held.primary : held.server;
    const auto child = static_cast<pid_t>(dies.ok("keep-sockets").number("pid"));
    const pid_t pid = dies.pid();
    dies.kill();
    if (who == "secondary") {
      const Answer done = held.server.ok("completion");
      CHECK(done.number("id") == id);
      CHECK(done.signed_number("code") == 995);
    } else {
      secondary.refuse("get -1", "VDSET_E_ABORT");
      Play::expect_death_of(secondary.ok("reason"), who == "server" ? 1 : 2, pid);
    }
    CHECK(kill(child, SIGKILL) == 0);
  }
}
