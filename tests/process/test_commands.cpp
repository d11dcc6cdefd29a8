// tests/process/test_commands.cpp: the command queue, IO-ERROR, and the ways a wait ends.
#include <doctest/doctest.h>
#include <algorithm>
#include <string>
#include <vector>
#include "tests/support/process.hpp"

using namespace process;

namespace {

/// A server and a primary with its one device open, depth 8.
struct Pair {
  explicit Pair(const std::string& create = "", const std::string& begin = "")
      : server(stage.add("server")), primary(stage.add("primary")) {
    Plan plan;
    plan.create = "depth=8 " + create;
    if (!begin.empty()) plan.begin = begin;
    plan.requests = {"4096 0 64"};
    configure(server, primary, "q", plan);
    activate(server, "q", 1);
    primary.ok("open q");
  }
  std::uint64_t send_flush(std::uint64_t position = 0) {
    return server.ok("send 12 0 position=" + std::to_string(position)).number("id");
  }
  std::uint64_t send_write(std::uint64_t position = 0) {
    const std::string buffer = server.ok("allocate 4096 0").at("buffer");
    return server.ok("send 2 4096 buffer=" + buffer + " position=" + std::to_string(position))
        .number("id");
  }
  void complete(const Answer& got, int code = 0) {
    primary.ok("complete " + got.at("id") + " " + std::to_string(code) + " 4096 77");
  }
  /// The next completion is this command's, with this code.
  void expect(std::uint64_t id, int code, bool immediate = false) {
    const Answer done = server.ok("completion");
    CHECK(done.number("id") == id);
    CHECK(done.signed_number("code") == code);
    CHECK(done.number("immediate") == (immediate ? 1 : 0));
  }
  /// A send that fails owes its callback at once, in the sender's thread.
  void refuse_send(const std::string& send, const std::string& code, int completion) {
    server.refuse(send, code);
    const Answer done = server.ok("completion");
    CHECK(done.signed_number("code") == completion);
    CHECK(done.number("immediate") == 1);
  }
  void end() {
    server.ok("close-device");
    primary.refuse("get -1", "VDSET_E_CLOSE");
    primary.refuse("get 0", "VDSET_E_CLOSE");
    server.wait_ok("agent");
    server.refuse("completion 0", "NONE");
    server.ok("server-close");
    primary.ok("close");
  }

  Stage stage;
  Role& server;
  Role& primary;
};

}  // namespace

TEST_CASE("commands come in the order sent and may be completed in any other") {
  Pair pair;
  std::vector<std::uint64_t> ids;
  std::vector<Answer> fetched;
  for (std::uint64_t i = 0; i < 6; ++i)
    ids.push_back(pair.send_write(100 + i));
  for (std::uint64_t i = 0; i < 6; ++i) {
    fetched.push_back(pair.primary.ok("get -1"));
    CHECK(fetched[i].number("position") == 100 + i);
    CHECK(fetched[i].number("size") == 4096);
    CHECK(fetched[i].number("flags") == 0);
  }
  for (const std::size_t i : {5u, 0u, 3u, 4u, 1u, 2u}) {
    pair.complete(fetched[i]);
    pair.expect(ids[i], 0);
  }
  pair.end();
}

TEST_CASE("a command completed twice, or on another device, or long ago, is INVALID") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  Plan plan;
  plan.devices = 2;
  plan.create = "depth=8";
  configure(server, primary, "q", plan);
  activate(server, "q", 2);
  primary.ok("open q");
  primary.ok("open q.1");
  server.ok("send 12 0 device=q");
  const Answer got = primary.ok("get -1 device=q");
  primary.refuse("complete " + got.at("id") + " 0 0 0 device=q.1", "VDSET_E_INVALID");
  primary.ok("complete " + got.at("id") + " 0");
  primary.refuse("complete " + got.at("id") + " 0", "VDSET_E_INVALID");
  primary.refuse("complete 9999 0 0 0 device=q", "VDSET_E_INVALID");  // NULL.
  CHECK(server.ok("completion").number("code") == 0);
  // One lap later, too, while its successor in the same line of the ring is active.
  for (int i = 1; i <= 8; ++i) {
    server.ok("send 12 0 device=q");
    const Answer next = primary.ok("get -1 device=q");
    primary.refuse("complete " + got.at("id") + " 0", "VDSET_E_INVALID");
    primary.ok("complete " + next.at("id") + " 0");
    server.ok("completion");
  }
  server.ok("send 12 0 device=q.1");
  const Answer other = primary.ok("get -1 device=q.1");
  primary.refuse("complete " + other.at("id") + " 0 0 0 device=q", "VDSET_E_INVALID");
  primary.ok("complete " + other.at("id") + " 0");
  CHECK(server.ok("completion").number("code") == 0);
  server.refuse("completion 0", "NONE");
  bury(server, primary);
}

TEST_CASE("a full queue refuses with 1450 called back at once, and takes commands again") {
  Pair pair;
  for (int round = 0; round < 3; ++round) {
    std::vector<std::uint64_t> ids;
    for (int i = 0; i < 8; ++i)
      ids.push_back(pair.send_flush());
    CHECK(pair.server.ok("outstanding").number("count") == 8);
    pair.refuse_send("send 12 0", "VDSET_E_QUEUE_FULL", 1450);
    pair.complete(pair.primary.ok("get -1"));
    pair.expect(ids[0], 0);
    ids.push_back(pair.send_flush());
    pair.refuse_send("send 12 0", "VDSET_E_QUEUE_FULL", 1450);
    for (std::size_t i = 1; i < ids.size(); ++i) {
      pair.complete(pair.primary.ok("get -1"));
      pair.expect(ids[i], 0);
    }
  }
  pair.end();
}

TEST_CASE("after an error what is queued fails unseen, ClearError waits, and the device recovers" *
          doctest::test_suite("essential")) {
  Pair pair;
  for (const int code : {112, 38, 995}) {
    std::vector<std::uint64_t> ids;
    for (int i = 0; i < 5; ++i)
      ids.push_back(pair.send_write());
    const Answer first = pair.primary.ok("get -1");
    const Answer second = pair.primary.ok("get -1");
    pair.complete(first, code);
    // Not even the next queued command, however fast the client is.
    pair.primary.refuse("get 0", "VDSET_E_TIMEOUT");
    pair.expect(ids[0], code);
    for (int i = 2; i < 5; ++i)
      pair.expect(ids[static_cast<std::size_t>(i)], 1117);
    pair.refuse_send("send 12 0", "VDSET_E_IO_ERROR", 1117);
    const std::uint64_t clear = pair.server.ok("send 3 0").number("id");
    pair.refuse_send("send 3 0", "VDSET_E_IO_ERROR", 1117);  // One is enough.
    pair.primary.refuse("get 0", "VDSET_E_TIMEOUT");
    pair.primary.start("wait", "get -1");
    pair.primary.until_asleep("wait");
    pair.complete(second);
    pair.expect(ids[1], 0);
    const Answer cleared = pair.primary.wait_ok("wait");
    CHECK(cleared.number("code") == 3);
    pair.complete(cleared);
    pair.expect(clear, 0);
    const std::uint64_t after = pair.send_write();
    pair.complete(pair.primary.ok("get -1"));
    pair.expect(after, 0);
  }
  pair.end();
}

TEST_CASE("a ClearError that fails leaves the device in IO-ERROR, the next may succeed") {
  Pair pair;
  const std::uint64_t id = pair.send_flush();
  pair.complete(pair.primary.ok("get -1"), 29);
  pair.expect(id, 29);
  for (const int code : {50, 1117, 0}) {
    const std::uint64_t clear = pair.server.ok("send 3 0").number("id");
    const Answer got = pair.primary.ok("get -1");
    CHECK(got.number("code") == 3);
    pair.complete(got, code);
    pair.expect(clear, code);
    if (code != 0) pair.refuse_send("send 12 0", "VDSET_E_IO_ERROR", 1117);
  }
  pair.complete((pair.send_flush(), pair.primary.ok("get -1")));
  CHECK(pair.server.ok("completion").number("code") == 0);
  pair.end();
}

TEST_CASE("a device in IO-ERROR may be closed instead of cleared") {
  Pair pair;
  pair.send_flush();
  pair.complete(pair.primary.ok("get -1"), 29);
  CHECK(pair.server.ok("completion").number("code") == 29);
  pair.end();
}

TEST_CASE("several Flushes, positions, and Complete once at the end") {
  Pair pair("features=0x2000", "features=0x52000 block=512 transfer=65536");
  CHECK(pair.primary.ok("configuration 0").number("features") == 0x52000);
  for (const int code : {12, 12, 9, 12, 10, 19}) {
    pair.server.ok("send " + std::to_string(code) + " 0 position=4294967298");
    const Answer got = pair.primary.ok("get -1");
    CHECK(got.signed_number("code") == code);
    CHECK(got.number("position") == 4294967298u);
    CHECK(got.number("buffer") == 0);
    CHECK(got.number("handle") == 0);
    // Bytes are for data only; a position passes through.
    pair.primary.ok("complete " + got.at("id") + " 0 12345 8589934593");
    const Answer done = pair.server.ok("completion");
    CHECK(done.number("bytes") == 0);
    CHECK(done.number("position") == 8589934593u);
  }
  pair.end();
}

TEST_CASE("completions can be pulled, and timeout 0 polls") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  configure(server, primary, "q");
  server.ok("name q");
  primary.ok("open q");
  primary.refuse("get 0", "VDSET_E_TIMEOUT");
  primary.refuse("get 1000000", "VDSET_E_TIMEOUT");
  server.refuse("next 0", "VDSET_E_TIMEOUT");
  server.refuse("next 1000000", "VDSET_E_TIMEOUT");
  server.ok("send 12 0 pull=1");
  server.refuse("next 0", "VDSET_E_TIMEOUT");
  server.start("pull", "next -1");
  server.until_asleep("pull");
  server.refuse("next 0", "VDSET_E_BUSY");
  server.refuse("run-agent", "VDSET_E_BUSY");
  primary.ok("complete " + primary.ok("get 0").at("id") + " 0");
  CHECK(server.wait_ok("pull").number("code") == 0);
  server.ok("send 12 0 pull=1");
  server.ok("close-device");
  const Answer closed = server.refuse("close-device", "VDSET_E_CLOSE");
  CHECK(closed.text.find("closed already") != std::string::npos);
  primary.ok("complete " + primary.ok("get -1").at("id") + " 0");
  primary.refuse("get -1", "VDSET_E_CLOSE");
  server.ok("next -1");
  server.refuse("next -1", "VDSET_E_CLOSE");
  server.ok("server-close");
  primary.ok("close");
}

TEST_CASE("callbacks send, allocate, free and close the device") {
  Pair pair;
  pair.primary.start("consume", "consume devices=q");
  const Answer sent = pair.server.ok("chain 500 4096");
  CHECK(sent.number("commands") == 500);
  const Answer got = pair.primary.wait_ok("consume");
  CHECK(got.number("sum") == sent.number("sum"));
  CHECK(got.number("bad") == 0);
  pair.server.wait_ok("agent");
  bury(pair.server, pair.primary);
}

TEST_CASE(
    "a device that was closed before its client opened it delivers its commands, then CLOSE") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  Plan plan;
  plan.devices = 2;
  configure(server, primary, "q", plan);
  activate(server, "q", 2);
  server.ok("send 12 0 device=q");
  server.ok("close-device device=q");
  server.ok("close-device device=q.1");
  primary.ok("open q");
  primary.ok("complete " + primary.ok("get -1").at("id") + " 0");
  CHECK(server.ok("completion").number("code") == 0);
  primary.refuse("get -1", "VDSET_E_CLOSE");
  primary.ok("open q.1");
  primary.refuse("get -1", "VDSET_E_CLOSE");
  server.wait_ok("agent");
  server.ok("server-close");
  primary.ok("close");
}

TEST_CASE("what is queued when the device closes is still delivered before CLOSE") {
  Pair pair;
  for (int i = 0; i < 3; ++i)
    pair.send_flush();
  pair.server.ok("close-device");
  pair.refuse_send("send 12 0", "VDSET_E_PROTOCOL", 6);
  for (int i = 0; i < 3; ++i) {
    pair.complete(pair.primary.ok("get -1"));
    CHECK(pair.server.ok("completion").number("code") == 0);
  }
  pair.primary.refuse("get -1", "VDSET_E_CLOSE");
  pair.server.wait_ok("agent");
  bury(pair.server, pair.primary);
}

TEST_CASE("an interrupt ends the wait under way, or else the next, and only that one") {
  Pair pair;
  pair.primary.start("wait", "get -1");
  pair.primary.until_asleep("wait");
  pair.primary.ok("interrupt");
  pair.primary.wait_refused("wait", "VDSET_E_INTERRUPTED");
  pair.primary.refuse("get 0", "VDSET_E_TIMEOUT");
  pair.primary.ok("interrupt");
  pair.primary.refuse("get -1", "VDSET_E_INTERRUPTED");
  pair.primary.start("wait", "get -1");
  pair.primary.until_asleep("wait");
  pair.send_flush();
  pair.complete(pair.primary.wait_ok("wait"));
  CHECK(pair.server.ok("completion").number("code") == 0);
  pair.end();
}

TEST_CASE("a second thread in get_command is BUSY, and completes from any thread") {
  Pair pair;
  pair.send_flush();
  const Answer held = pair.primary.ok("get -1");
  pair.primary.start("wait", "get -1");
  pair.primary.until_asleep("wait");
  pair.primary.refuse("get 0", "VDSET_E_BUSY");
  pair.primary.refuse("get -1", "VDSET_E_BUSY");
  pair.complete(held);
  CHECK(pair.server.ok("completion").number("code") == 0);
  CHECK_FALSE(pair.primary.answered("wait"));
  pair.send_flush();
  pair.complete(pair.primary.wait_ok("wait"));
  CHECK(pair.server.ok("completion").number("code") == 0);
  pair.end();
}

TEST_CASE("closing a set wakes the calls of its other threads") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  primary.ok("create q");
  primary.start("wait", "configuration -1");
  primary.until_asleep("wait");
  primary.ok("close");
  primary.wait_refused("wait", "VDSET_E_NOTOPEN");
  Plan plan;
  plan.devices = 2;
  configure(server, primary, "q", plan);
  server.ok("name q");
  primary.ok("open q");
  primary.start("get", "get -1");
  primary.start("open", "open q.1");
  primary.until_asleep("get");
  primary.until_asleep("open");
  primary.refuse("close", "VDSET_E_OPEN");
  for (const char* lane : {"get", "open"}) {
    const std::string code = primary.wait(lane).error;
    // The close of a primary is an abort, too: whichever the thread sees first.
    CHECK_MESSAGE((code == "VDSET_E_NOTOPEN" || code == "VDSET_E_ABORT"), lane << ": " << code);
  }
  server.ok("server-close");
}

TEST_CASE("nothing completing for two serverTimeOut intervals aborts, a working client does not") {
  Pair pair("timeout_ms=500");
  for (int i = 0; i < 4; ++i) {
    pair.send_flush();
    pair.complete(pair.primary.ok("get -1"));
    CHECK(pair.server.ok("completion").number("code") == 0);
  }
  pair.primary.refuse("get 1600000000", "VDSET_E_TIMEOUT");  // Nothing pending: nothing late.
  pair.send_flush();
  pair.primary.ok("get -1");
  pair.server.wait_refused("agent", "VDSET_E_ABORT");
  CHECK(pair.server.ok("completion").number("code") == 995);
  pair.primary.refuse("get -1", "VDSET_E_ABORT");
  CHECK(pair.primary.ok("reason").number("call") == 5);
  bury(pair.server, pair.primary);
}
