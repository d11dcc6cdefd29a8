// tests/process/test_namespaces.cpp: who a process is does not hang on its number: roles in pid
// namespaces of their own, and a number that is used again.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>
#include <cstdlib>
#include <cstring>
#include <string>
#include "tests/support/process.hpp"
#include "tests/support/skip.hpp"

using namespace process;

namespace {

/// The next process gets this number, unless another comes between.
bool ask_for_pid(pid_t pid) {
  const int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const std::string text = std::to_string(pid - 1);
  const bool done = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(fd);
  return done;
}

Plan small_plan() {
  Plan plan;
  plan.devices = 2;
  plan.create = "depth=8";
  plan.requests = {"4096 0 8"};
  return plan;
}

std::uint64_t send(Role& server) {
  const std::string buffer = server.ok("allocate 4096 0").at("buffer");
  return server.ok("send 2 4096 device=ns.1 buffer=" + buffer).number("id");
}

/// Opens, as soon as the last consumer's end is known.
void reopen(Role& role) {
  role.ok("join ns");
  Answer opening = role.call("open ns.1");
  while (opening.error == "VDSET_E_PROTOCOL" || opening.error == "VDSET_E_OPEN")
    opening = role.call("open ns.1");
  REQUIRE_MESSAGE(opening.ok(), opening.error << " " << opening.text);
}

/// A command goes through; one that a killed secondary holds fails, and the device is cleared.
void expect_death_is_known(Role& server, Role& secondary, Role& next) {
  const std::uint64_t id = send(server);
  secondary.ok("get -1");
  secondary.kill();
  const Answer done = server.ok("completion");
  CHECK(done.number("id") == id);
  CHECK(done.signed_number("code") == 995);
  server.ok("send 3 0 device=ns.1");
  reopen(next);
  next.ok("complete " + next.ok("get -1").at("id") + " 0");
  CHECK(server.ok("completion").number("code") == 0);
}

}  // namespace

TEST_CASE("roles in pid namespaces of their own meet, and learn of each other's deaths") {
  if (!can_unshare()) return;
  for (const bool server_inside : {false, true}) {
    CAPTURE(server_inside);
    Stage stage;
    Role& server = stage.add("server", server_inside ? namespaced_user : root_user);
    Role& primary = stage.add("primary", server_inside ? root_user : namespaced_user);
    configure(server, primary, "ns", small_plan());
    activate(server, "ns", 2);
    primary.ok("open ns");
    Role& secondary = stage.add("secondary", namespaced_user);
    reopen(secondary);
    Role& next = stage.add("next", namespaced_user);
    expect_death_is_known(server, secondary, next);
    next.start("get", "get -1");
    Role& dies = server_inside ? primary : server;
    Role& lives = server_inside ? server : primary;
    dies.kill();
    next.wait_refused("get", "VDSET_E_ABORT");
    CHECK(next.ok("reason").number("role") == (server_inside ? 2 : 1));
    if (server_inside)
      lives.wait_refused("agent", "VDSET_E_ABORT");
    else
      lives.refuse("get -1", "VDSET_E_ABORT");
  }
}

TEST_CASE("where the kernel cannot name a peer of another pid namespace it is refused") {
  if (!can_unshare()) return;
  Stage stage;
  REQUIRE(setenv("VDSET_FAULT", "peerpidfd:92", 1) == 0);
  Role& primary = stage.add_from("primary", "role_faults", namespaced_user);
  unsetenv("VDSET_FAULT");
  primary.ok("create ns");
  stage.add("server").refuse("server-open ns", "VDSET_E_SECURITY");
  primary.ok("close");
}

TEST_CASE("a process with the number of one that was killed is not taken for it") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  configure(server, primary, "ns", small_plan());
  activate(server, "ns", 2);
  primary.ok("open ns");
  Role* secondary = &stage.add("secondary");
  reopen(*secondary);
  int again = 0;
  for (int i = 0; i < 30 && again < 3; ++i) {
    const std::uint64_t id = send(server);
    secondary->ok("get -1");
    const pid_t pid = secondary->pid();
    secondary->kill();
    if (!ask_for_pid(pid)) {
      support::skip("this process may not choose pids");
      return;
    }
    Role& next = stage.add("next");  // At once: its predecessor may not yet be known to be dead.
    again += next.pid() == pid ? 1 : 0;
    next.ok("join ns");
    const Answer done = server.ok("completion");
    CHECK(done.number("id") == id);
    CHECK(done.signed_number("code") == 995);
    server.ok("send 3 0 device=ns.1");
    Answer opening = next.call("open ns.1");
    while (opening.error == "VDSET_E_PROTOCOL" || opening.error == "VDSET_E_OPEN")
      opening = next.call("open ns.1");
    next.ok("complete " + next.ok("get -1").at("id") + " 0");
    CHECK(server.ok("completion").number("code") == 0);
    secondary = &next;
  }
  CHECK_MESSAGE(again == 3, "of 30 processes only " << again << " got the number of the last");
  bury(server, primary);
}
