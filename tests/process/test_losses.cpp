// tests/process/test_losses.cpp: the server and the primary are told which secondary was lost, how,
// and with what in its hands.
#include <doctest/doctest.h>
#include <string>
#include <vector>
#include "tests/support/process.hpp"

using namespace process;

namespace {

constexpr unsigned call_died = 3;
constexpr unsigned call_left = 4;
constexpr unsigned losses_kept = 64;

/// Three devices: one for the primary, two for a secondary.
struct Play {
  explicit Play(const std::string& create)
      : server(stage.add("server")), primary(stage.add("primary")) {
    Plan plan;
    plan.devices = 3;
    plan.create = create;
    plan.requests = {"4096 0 16"};
    configure(server, primary, "play", plan);
    activate(server, "play", 3);
    primary.ok("open play");
  }
  Role& join(const std::string& name) {
    Role& role = stage.add(name);
    role.ok("join play");
    return role;
  }
  /// It fetches so many commands of the device.
  void give(Role& secondary, const std::string& device, int count) {
    for (int i = 0; i < count; ++i) {
      const std::string buffer = server.ok("allocate 4096 0").at("buffer");
      server.ok("send 2 4096 device=" + device + " buffer=" + buffer);
      secondary.ok("get -1 device=" + device);
    }
  }
  struct Expected {
    unsigned number, call;
    pid_t pid;
    unsigned devices, commands, handed_over;
    std::string device;
  };
  /// Both sides are told of the loss, and say the same.
  void expect(const Expected& e) {
    expect_said(told(server, "server-loss", e.number), e);
    expect_said(told(primary, "loss", e.number), e);
  }
  /// Asks until it is known.
  static Answer told(Role& role, const std::string& verb, unsigned number) {
    return role.until_ok(verb + " " + std::to_string(number));
  }
  static void expect_said(const Answer& said, const Expected& e) {
    CHECK(said.number("count") == e.number);
    CHECK(said.number("call") == e.call);
    CHECK(said.signed_number("pid") == e.pid);
    CHECK(said.number("devices") == e.devices);
    CHECK(said.number("commands") == e.commands);
    CHECK(said.number("handed_over") == e.handed_over);
    CHECK(said.at("device") == e.device);
  }

  Stage stage;
  Role& server;
  Role& primary;
};

}  // namespace

TEST_CASE("who died is told to the server and the primary, with what it held") {
  Play play("");
  play.server.refuse("server-loss 0", "VDSET_E_PROTOCOL");
  play.primary.refuse("loss 0", "VDSET_E_PROTOCOL");
  Role& idle = play.join("idle");
  Role& busy = play.join("busy");
  busy.refuse("loss 0", "VDSET_E_PROTOCOL");
  busy.ok("open play.1");
  busy.ok("open play.2");
  play.give(busy, "play.1", 2);
  play.give(busy, "play.2", 1);
  const pid_t busy_pid = busy.pid(), idle_pid = idle.pid();
  busy.kill();
  // Before the completions of its commands.
  CHECK(play.server.ok("completion").number("code") == 995);
  CHECK(play.server.ok("server-loss 0").number("number") == 1);
  play.expect({1, call_died, busy_pid, 2, 3, 0, "play.1"});
  idle.kill();
  play.expect({2, call_died, idle_pid, 0, 0, 0, ""});
  CHECK(play.primary.ok("loss 1").signed_number("pid") == busy_pid);
  play.primary.refuse("loss 3", "VDSET_E_INVALID");
  play.server.refuse("server-loss 3", "VDSET_E_INVALID");
  bury(play.server, play.primary);
}

TEST_CASE("with the hand-over policy a loss counts what waits for the next opener") {
  Play play("hand_over=1");
  Role& busy = play.join("busy");
  busy.ok("open play.1");
  play.give(busy, "play.1", 3);
  busy.ok("complete 2 0 4096");
  const pid_t pid = busy.pid();
  busy.kill();
  CHECK(play.server.ok("completion").number("code") == 0);
  play.expect({1, call_died, pid, 1, 2, 2, "play.1"});
  bury(play.server, play.primary);
}

TEST_CASE("who lets go of its sockets is lost once, a polite goodbye only with commands in hand") {
  Play play("");
  Role& polite = play.join("polite");
  polite.ok("open play.1");
  polite.refuse("close", "VDSET_E_OPEN");
  polite.ok("join play");
  polite.ok("open play.1");
  play.give(polite, "play.1", 1);
  polite.refuse("close", "VDSET_E_OPEN");
  play.expect({1, call_left, polite.pid(), 1, 1, 0, "play.1"});
  polite.kill();
  Role& rude = play.join("rude");
  rude.ok("open play.2");
  rude.start("exec", "exec close-descriptors");
  rude.wait_ok("exec");
  play.expect({2, call_left, rude.pid(), 1, 0, 0, "play.2"});
  rude.kill();
  Role& last = play.join("last");
  const pid_t pid = last.pid();
  last.kill();
  play.expect({3, call_died, pid, 0, 0, 0, ""});
  bury(play.server, play.primary);
}

TEST_CASE("the latest losses are remembered, older ones forgotten") {
  Play play("");
  for (unsigned i = 0; i <= losses_kept; ++i)
    play.join("victim-" + std::to_string(i)).kill();
  for (auto [role, verb] : {std::pair{&play.server, "server-loss"}, {&play.primary, "loss"}}) {
    Play::told(*role, verb, losses_kept + 1);
    role->refuse(std::string(verb) + " 1", "VDSET_E_INVALID");
    CHECK(role->ok(std::string(verb) + " 2").number("count") == losses_kept + 1);
    CHECK(role->ok(std::string(verb) + " 0").number("number") == losses_kept + 1);
  }
  bury(play.server, play.primary);
}

TEST_CASE("who closes and ends at once is no loss, however late the server looks") {
  Play play("");
  for (int i = 0; i < 30; ++i) {
    Role& role = play.join("polite-" + std::to_string(i));
    const bool late = i % 2 != 0;
    if (late) play.server.stop();
    role.start("end", "close-and-end");
    role.expect_end();
    if (late) play.server.proceed();
  }
  // One who is lost after all of them is the first.
  Role& last = play.join("last");
  const pid_t pid = last.pid();
  last.kill();
  play.expect({1, call_died, pid, 0, 0, 0, ""});
  bury(play.server, play.primary);
}

TEST_CASE("who ends the set and closes is no loss") {
  for (const bool late : {false, true}) {
    Play play("");
    Role& role = play.join("role");
    if (late) play.server.stop();
    role.ok("abort 7 enough");
    role.start("end", "close-and-end");
    role.expect_end();
    if (late) play.server.proceed();
    play.server.until("server-configuration", "VDSET_E_ABORT");
    CHECK(play.server.ok("server-reason").number("code") == 7);
    Role& killed = play.primary;
    killed.until("configuration 0", "VDSET_E_ABORT");
    play.server.refuse("server-loss 0", "VDSET_E_PROTOCOL");
  }
}

TEST_CASE("what an error kept from being handed over is not counted as handed over") {
  Play play("hand_over=1");
  Role& busy = play.join("busy");
  busy.ok("open play.1");
  play.give(busy, "play.1", 3);
  const pid_t pid = busy.pid();
  play.server.stop();  // It learns of the error and of the death at once.
  busy.ok("complete 1 29 0");
  busy.kill();
  play.server.proceed();
  std::vector<unsigned> codes;
  for (int i = 0; i < 3; ++i)
    codes.push_back(static_cast<unsigned>(play.server.ok("completion").number("code")));
  CHECK(codes == std::vector<unsigned>{29, 995, 995});
  play.expect({1, call_died, pid, 1, 2, 0, "play.1"});
  bury(play.server, play.primary);
}

TEST_CASE("a primary that was stopped hears of all that are remembered, under the same numbers") {
  constexpr unsigned losses = 250;  // More than its socket holds.
  Play play("");
  play.primary.stop();
  for (unsigned i = 0; i < losses; ++i) {
    play.join("victim").kill();
    play.stage.drop_last();
  }
  const Answer at_server = Play::told(play.server, "server-loss", losses);
  play.primary.proceed();
  const Answer at_primary = Play::told(play.primary, "loss", losses);
  CHECK(at_primary.at("pid") == at_server.at("pid"));
  CHECK(at_primary.number("count") == losses);
  for (unsigned number = losses - losses_kept + 1; number <= losses; ++number)
    CHECK(play.primary.ok("loss " + std::to_string(number)).at("pid") ==
          play.server.ok("server-loss " + std::to_string(number)).at("pid"));
  bury(play.server, play.primary);
}
