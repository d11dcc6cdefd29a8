// tests/process/test_abort.cpp: SignalAbort and closes before the end: who wakes, who reads what.
#include <doctest/doctest.h>
#include <string>
#include <vector>
#include "tests/support/process.hpp"

using namespace process;

namespace {

constexpr unsigned call_signal_abort = 1;
constexpr unsigned call_close = 2;

/// A set in work with a waiter of every kind: GetCommand and OpenDevice in the primary and in two
/// secondaries, the agent in the server, and a fetched command in each client.
struct Busy {
  Busy()
      : server(stage.add("server")),
        primary(stage.add("primary")),
        one(stage.add("one")),
        two(stage.add("two")) {}

  void begin() {
    Plan plan;
    plan.devices = 4;  // The last one is never named.
    plan.requests = {"4096 0 8"};
    configure(server, primary, "busy", plan);
    one.ok("join busy");
    two.ok("join busy");
    for (unsigned i = 0; i < 3; ++i)
      server.ok("name " + device_name("busy", i));
    server.start("agent", "run-agent");
    unsigned i = 0;
    for (Role* client : {&primary, &one, &two}) {
      const std::string name = device_name("busy", i++);
      client->ok("open " + name);
      const std::string buffer = server.ok("allocate 4096 0").at("buffer");
      server.ok("send 2 4096 device=" + name + " buffer=" + buffer);
      held.push_back(client->ok("get -1").at("id"));
      client->start("get", "get -1");
      client->start("open", "open busy.3");
    }
    for (Role* client : {&primary, &one, &two})
      for (const char* lane : {"get", "open"})
        client->until_asleep(lane);
    server.until_asleep("agent");
  }

  /// Every wait has ended with ABORT; whoever asks reads the same story. The server first: when its
  /// agent has ended the story is written down.
  void expect_over(unsigned role, pid_t pid, unsigned call, int code, const std::string& text) {
    server.wait_refused("agent", "VDSET_E_ABORT");
    for (int n = 0; n < 3; ++n)
      CHECK(server.ok("completion").number("code") == 995);
    server.refuse("completion 0", "NONE");
    for (const char* command : {"allocate 4096 0", "request 4096 0 1", "name more", "close-device",
                                "server-configuration", "query 4096 0", "next 0", "run-agent"})
      server.refuse(command, "VDSET_E_ABORT");
    server.refuse("send 12 0", "VDSET_E_ABORT");
    CHECK(server.ok("completion").number("code") == 995);
    expect_reason(server.ok("server-reason"), role, pid, call, code, text);
    std::size_t i = 0;
    for (Role* client : {&primary, &one, &two}) {
      CAPTURE(client->name());
      client->wait_refused("get", "VDSET_E_ABORT");
      client->wait_refused("open", "VDSET_E_ABORT");
      client->refuse("get 0", "VDSET_E_ABORT");
      client->refuse("complete " + held[i++] + " 0 4096", "VDSET_E_ABORT");
      client->refuse("configuration 0", "VDSET_E_ABORT");
      client->refuse("open busy.3", "VDSET_E_ABORT");
      expect_reason(client->ok("reason"), role, pid, call, code, text);
    }
  }
  static void expect_reason(const Answer& reason, unsigned role, pid_t pid, unsigned call, int code,
                            const std::string& text) {
    CHECK(reason.number("role") == role);
    CHECK(reason.signed_number("pid") == pid);
    CHECK(reason.number("call") == call);
    CHECK(reason.signed_number("code") == code);
    if (!text.empty()) CHECK(reason.at("text") == text);
  }

  void end() {
    server.ok("server-abort 0");  // Also when aborted.
    primary.ok("abort 0");
    server.ok("server-close");
    for (Role* client : {&one, &two, &primary})
      client->ok("close");
    held.clear();
  }

  Stage stage;
  Role& server;
  Role& primary;
  Role& one;
  Role& two;
  std::vector<std::string> held;
};

}  // namespace

TEST_CASE(
    "an abort by any role wakes every waiter everywhere, and tells who, why and in what words" *
    doctest::test_suite("essential")) {
  Busy busy;
  for (int round = 0; round < 5; ++round) {
    CAPTURE(round);
    busy.begin();
    busy.server.ok("server-abort 112 the disk of the server is full");
    busy.expect_over(1, busy.server.pid(), call_signal_abort, 112,
                     "the disk of the server is full");
    busy.end();
    busy.begin();
    busy.primary.ok("abort 29 the primary cannot write");
    busy.expect_over(2, busy.primary.pid(), call_signal_abort, 29, "the primary cannot write");
    busy.end();
    busy.begin();
    busy.two.ok("abort -2139684854 a secondary has no memory");
    busy.expect_over(3, busy.two.pid(), call_signal_abort, -2139684854,
                     "a secondary has no memory");
    busy.end();
  }
}

TEST_CASE(
    "an abort while GetConfiguration waits wakes it with the words, whatever the server has done") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  const std::vector<std::string> steps{"server-open early", "begin", "request 4096 0 1"};
  for (std::size_t done = 1; done <= steps.size(); ++done) {
    CAPTURE(done);
    primary.ok("create early");
    for (std::size_t i = 0; i < done; ++i)
      server.ok(steps[i]);
    primary.start("one", "configuration -1");
    primary.start("two", "configuration -1");
    primary.until_asleep("one");
    primary.until_asleep("two");
    server.ok("server-abort 50 this configuration is no use");
    for (const char* lane : {"one", "two"})
      primary.wait_refused(lane, "VDSET_E_ABORT");
    const Answer reason = primary.ok("reason");
    CHECK(reason.number("role") == 1);
    CHECK(reason.signed_number("pid") == server.pid());
    CHECK(reason.number("call") == call_signal_abort);
    CHECK(reason.signed_number("code") == 50);
    CHECK(reason.at("text") == "this configuration is no use");
    server.refuse("end", "VDSET_E_ABORT");
    server.ok("server-close");
    primary.ok("close");
  }
}

TEST_CASE("a primary that aborts before the server comes holds the name, and Open says ABORT") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  Role& other = stage.add("other");
  primary.ok("create early");
  primary.refuse("reason", "VDSET_E_PROTOCOL");
  primary.start("wait", "configuration -1");
  primary.until_asleep("wait");
  primary.ok("abort 7 changed my mind");
  primary.wait_refused("wait", "VDSET_E_ABORT");
  primary.refuse("configuration 0", "VDSET_E_ABORT");
  primary.refuse("open early", "VDSET_E_ABORT");
  server.refuse("server-open early", "VDSET_E_ABORT");
  other.refuse("join early", "VDSET_E_ABORT");
  other.refuse("create early", "VDSET_E_PROTOCOL");
  const Answer reason = primary.ok("reason");
  CHECK(reason.number("role") == 2);
  CHECK(reason.at("text") == "changed my mind");
  primary.ok("close");
  other.ok("create early");
  other.ok("close");
}

TEST_CASE("a primary that aborts at each step of the configuration tells the server why") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  const std::vector<std::string> steps{"server-open early", "begin", "request 4096 0 1", "end",
                                       "name early"};
  for (std::size_t done = 1; done <= steps.size(); ++done) {
    CAPTURE(done);
    primary.ok("create early");
    for (std::size_t i = 0; i < done; ++i)
      server.ok(steps[i]);
    if (done >= 2) primary.call("configuration 100000000");  // So that it has S and W.
    primary.ok("abort 7 the operator pressed the key");
    server.until("server-configuration", "VDSET_E_ABORT");
    for (const char* command : {"begin", "request 4096 0 1", "end", "name more"})
      server.refuse(command, "VDSET_E_ABORT");
    for (const Answer& reason : {server.ok("server-reason"), primary.ok("reason")}) {
      CHECK(reason.number("role") == 2);
      CHECK(reason.signed_number("pid") == primary.pid());
      CHECK(reason.number("call") == call_signal_abort);
      CHECK(reason.signed_number("code") == 7);
      CHECK(reason.at("text") == "the operator pressed the key");
    }
    server.ok("server-close");
    primary.ok("close");
  }
}

TEST_CASE("an abort ends the wait for a pulled completion, once what was under way is handed out") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  for (const bool by_server : {false, true}) {
    CAPTURE(by_server);
    configure(server, primary, "pull");
    server.ok("name pull");
    primary.ok("open pull");
    server.ok("send 12 0 pull=1");
    server.ok("send 12 0 pull=1");
    primary.ok("get -1");
    server.start("next", "next -1");
    server.until_asleep("next");
    if (by_server)
      server.ok("server-abort 3 enough");
    else
      primary.ok("abort 3 enough");
    CHECK(server.wait_ok("next").number("code") == 995);
    CHECK(server.ok("next -1").number("code") == 995);
    server.refuse("next -1", "VDSET_E_ABORT");
    bury(server, primary);
  }
}

TEST_CASE("what a client did last counts, although it is dead when the server looks") {
  Stage stage;
  Role& server = stage.add("server");
  for (const bool secondary : {false, true}) {
    for (const bool attached : {false, true}) {
      for (const bool close : {false, true}) {
        // A secondary joins a set that is configured, and may close at any time.
        if (secondary && (close || !attached)) continue;
        CAPTURE(secondary);
        CAPTURE(attached);
        CAPTURE(close);
        Role& primary = stage.add("primary");
        Role& other = secondary ? stage.add("other") : primary;
        if (attached) {
          configure(server, primary, "last");
        } else {
          primary.ok("create last");
          server.ok("server-open last");
        }
        if (secondary) other.ok("join last");
        server.stop();
        other.ok(close ? "close" : "abort 112 the disk is full");
        const pid_t pid = other.pid();
        other.kill();
        server.proceed();
        server.until("server-configuration", "VDSET_E_ABORT");
        const Answer reason = server.ok("server-reason");
        CHECK(reason.number("call") == (close ? call_close : call_signal_abort));
        CHECK(reason.number("role") == (secondary ? 3 : 2));
        CHECK(reason.number("pid") == static_cast<std::uint64_t>(pid));
        if (!close) CHECK(reason.at("text") == "the disk is full");
        server.ok("server-close");
        if (secondary) primary.ok("close");
      }
    }
  }
}

TEST_CASE("what a server did last counts, although it is dead when the primary looks") {
  Stage stage;
  Role& primary = stage.add("primary");
  for (const bool attached : {false, true}) {
    for (const bool close : {false, true}) {
      CAPTURE(attached);
      CAPTURE(close);
      Role& server = stage.add("server");
      if (attached) {
        configure(server, primary, "last");
      } else {
        primary.ok("create last");
        server.ok("server-open last");
      }
      primary.stop();
      server.ok(close ? "server-close" : "server-abort 3041 the operator");
      server.kill();
      primary.proceed();
      primary.until("configuration 0", "VDSET_E_ABORT");
      const Answer reason = primary.ok("reason");
      CHECK(reason.number("call") == (close ? call_close : call_signal_abort));
      CHECK(reason.number("role") == 1);
      if (!close) CHECK(reason.at("text") == "the operator");
      primary.ok("close");
      stage.drop_last();
    }
  }
}

TEST_CASE("every command that was taken is called back, however an abort comes between") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  Plan plan;
  plan.devices = 4;
  plan.requests = {"512 0 64"};
  const std::string names = device_names("between", 0, 4);
  for (int round = 0; round < 40; ++round) {
    CAPTURE(round);
    // One waits for each callback before it sends again, the other never waits.
    const bool waits = round % 4 < 2;
    configure(server, primary, "between", plan);
    activate(server, "between", 4);
    primary.start("consume", "consume devices=" + names);
    server.start("send", waits ? "produce threads=8 count=100000000 size=512 devices=" + names
                               : "flood threads=8 devices=" + names);
    server.until_asleep("send");
    for (int n = 0; n < round; ++n)
      server.ok("outstanding");
    if (round % 2 == 0)
      server.ok("server-abort 0");
    else
      primary.ok("abort 0");
    if (waits) {
      server.wait_refused("send", "VDSET_E_ABORT");
    } else {
      const Answer sent = server.wait_ok("send");
      CHECK(sent.at("refusal") == "VDSET_E_ABORT");
      CHECK(sent.number("called") == sent.number("taken"));
    }
    server.wait_refused("agent", "VDSET_E_ABORT");
    primary.wait_refused("consume", "VDSET_E_ABORT");
    bury(server, primary);
  }
}

TEST_CASE("texts of aborts are cut at 127 bytes, and none is fine") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  configure(server, primary, "x");
  primary.ok("abort 1 " + std::string(500, 'w'));
  server.until("server-configuration", "VDSET_E_ABORT");
  CHECK(server.ok("server-reason").at("text") == std::string(127, 'w'));
  CHECK(primary.ok("reason").at("text") == std::string(127, 'w'));
  bury(server, primary);
  configure(server, primary, "x");
  server.ok("server-abort 1");
  primary.until("configuration 0", "VDSET_E_ABORT");
  CHECK(primary.ok("reason").signed_number("code") == 1);
  bury(server, primary);
}

TEST_CASE("a primary that closes with open devices gets OPEN, everybody else ABORT") {
  Busy busy;
  busy.begin();
  busy.primary.refuse("close", "VDSET_E_OPEN");
  busy.server.wait_refused("agent", "VDSET_E_ABORT");
  for (int n = 0; n < 3; ++n)
    CHECK(busy.server.ok("completion").number("code") == 995);
  Busy::expect_reason(busy.server.ok("server-reason"), 2, busy.primary.pid(), call_close, 0, "");
  for (Role* client : {&busy.one, &busy.two}) {
    client->wait_refused("get", "VDSET_E_ABORT");
    client->wait_refused("open", "VDSET_E_ABORT");
    Busy::expect_reason(client->ok("reason"), 2, busy.primary.pid(), call_close, 0, "");
  }
  busy.server.ok("server-close");
  for (Role* client : {&busy.one, &busy.two})
    client->ok("close");
}

TEST_CASE(
    "a server that closes with open devices gets PROTOCOL, its commands 995, the clients ABORT") {
  Busy busy;
  busy.begin();
  busy.server.refuse("server-close", "VDSET_E_PROTOCOL");
  const Answer agent = busy.server.wait("agent");
  CHECK(agent.error != "VDSET_E_BUSY");
  for (int n = 0; n < 3; ++n)
    CHECK(busy.server.ok("completion").number("code") == 995);
  for (Role* client : {&busy.primary, &busy.one, &busy.two}) {
    CAPTURE(client->name());
    client->wait_refused("get", "VDSET_E_ABORT");
    client->wait_refused("open", "VDSET_E_ABORT");
    Busy::expect_reason(client->ok("reason"), 1, busy.server.pid(), call_close, 0, "");
    client->ok("close");
  }
}

TEST_CASE("a secondary that closes while its other threads wait aborts nobody") {
  Busy busy;
  for (int round = 0; round < 20; ++round) {
    CAPTURE(round);
    busy.begin();
    busy.one.refuse("close", "VDSET_E_OPEN");
    busy.one.wait_refused("get", "VDSET_E_NOTOPEN");
    busy.one.wait_refused("open", "VDSET_E_NOTOPEN");
    CHECK(busy.server.ok("completion").number("code") == 995);
    // The set goes on until somebody means to end it.
    busy.two.refuse("reason", "VDSET_E_PROTOCOL");
    busy.server.refuse("server-reason", "VDSET_E_PROTOCOL");
    busy.two.ok("abort 0");
    for (int n = 0; n < 2; ++n)
      CHECK(busy.server.ok("completion").number("code") == 995);
    busy.server.wait_refused("agent", "VDSET_E_ABORT");
    for (Role* client : {&busy.two, &busy.primary})
      for (const char* lane : {"get", "open"})
        client->wait_refused(lane, "VDSET_E_ABORT");
    busy.server.ok("server-close");
    busy.two.ok("close");
    busy.primary.ok("close");
    busy.held.clear();
  }
}

TEST_CASE(
    "a secondary that closes with open devices gets OPEN, its commands 995, and no one aborts") {
  Busy busy;
  busy.begin();
  busy.one.refuse("close", "VDSET_E_OPEN");
  CHECK(busy.server.ok("completion").number("code") == 995);
  CHECK_FALSE(busy.server.answered("agent"));
  // The others go on.
  busy.primary.ok("complete " + busy.held[0] + " 0 4096");
  CHECK(busy.server.ok("completion").number("code") == 0);
  busy.server.ok("send 12 0 device=busy.2");
  busy.two.ok("complete " + busy.two.wait_ok("get").at("id") + " 0");
  CHECK(busy.server.ok("completion").number("code") == 0);
  busy.server.ok("name busy.3");
  const bool primary_got = busy.primary.wait("open").ok();
  const bool two_got = busy.two.wait("open").ok();
  CHECK(primary_got != two_got);
  busy.server.refuse("server-close", "VDSET_E_PROTOCOL");
  for (Role* client : {&busy.two, &busy.primary})
    client->ok("close");
}
