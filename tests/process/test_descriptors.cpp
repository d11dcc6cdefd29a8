// tests/process/test_descriptors.cpp: a process that has no free descriptor for what its peer
// passes: it is told so, nothing is lost, and nobody else is harmed.
#include <doctest/doctest.h>
#include <string>
#include "tests/process/held.hpp"

using namespace process;

namespace {

bool names_the_cause(const Answer& answer) {
  return answer.text.find("limit of open files") != std::string::npos;
}

/// Calls with 0, 1, 2 ... free descriptors, until it succeeds; every time before it is MEMORY.
/// True: at least once because a peer's descriptor found no place.
bool try_with_more_and_more(Role& role, const std::string& call) {
  bool named = false;
  for (int count = 0; count < 20; ++count) {
    role.ok("limit-files " + std::to_string(count));
    const Answer answer = role.call(call);
    role.ok("limit-files -1");
    if (answer.ok()) return named;
    CHECK_MESSAGE(answer.error == "VDSET_E_MEMORY", count << ": " << answer.error << answer.text);
    named |= names_the_cause(answer);
  }
  FAIL("never enough: " << call);
  return false;
}

}  // namespace

TEST_CASE("a device whose part a client cannot take is MEMORY, and its own when it asks again") {
  Held held("");
  Role& secondary = held.stage.add("secondary");
  secondary.ok("join held");
  secondary.ok("limit-files 0");
  for (int i = 0; i < 3; ++i)
    CHECK(names_the_cause(secondary.refuse("open held.1", "VDSET_E_MEMORY")));
  const std::uint64_t id = held.send(1);
  secondary.ok("limit-files -1");
  secondary.ok("open held.1");
  secondary.refuse("open held.1", "VDSET_E_OPEN");  // Once it has it, as ever.
  const Answer got = secondary.ok("get -1");
  CHECK(secondary.ok("check " + got.at("buffer") + " 4096 1").number("equal") == 1);
  secondary.ok("complete " + got.at("id") + " 0 4096");
  CHECK(held.server.ok("completion").number("id") == id);
  held.end();
}

TEST_CASE("a device whose part a client could not take is another's when that one has gone") {
  for (const bool killed : {false, true}) {
    CAPTURE(killed);
    Held held("");
    Role& secondary = held.stage.add("secondary");
    secondary.ok("join held");
    secondary.ok("limit-files 0");
    secondary.refuse("open held.1", "VDSET_E_MEMORY");
    Role& next = held.stage.add("next");
    next.ok("join held");
    next.refuse("open held.1", "VDSET_E_OPEN");
    if (killed)
      secondary.kill();
    else
      secondary.ok("close");
    next.until_ok("open held.1");
    held.end();
  }
}

TEST_CASE("a device that was closed before its part could be taken tells CLOSE") {
  Held held("");
  Role& secondary = held.stage.add("secondary");
  secondary.ok("join held");
  secondary.ok("limit-files 0");
  secondary.refuse("open held.1", "VDSET_E_MEMORY");
  secondary.ok("limit-files -1");
  for (const char* device : {"held", "held.1"})
    held.server.ok(std::string("close-device device=") + device);
  secondary.ok("open held.1");
  secondary.refuse("get -1", "VDSET_E_CLOSE");
  held.server.wait_ok("agent");
}

TEST_CASE("a secondary without descriptors for the parts is told so, and uses up no place") {
  Held held("");
  Role& secondary = held.stage.add("secondary");
  for (int i = 0; i < 100; ++i) {
    CHECK(try_with_more_and_more(secondary, "join held"));
    secondary.ok("close");
  }
  held.expect_others_work();
  held.end();
}

TEST_CASE("a server without descriptors for the listener is told so, and the set waits for it") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  primary.ok("create want");
  CHECK(try_with_more_and_more(server, "server-open want"));
  server.ok("begin features=0x10000 block=512 transfer=65536");
  server.ok("end");
  primary.ok("configuration -1");
  bury(server, primary);
}

TEST_CASE("a primary without descriptors for the parts ends the set, and both are told why") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  primary.ok("create want");
  server.ok("server-open want");
  primary.ok("limit-files 0");
  server.call("begin features=0x10000 block=512 transfer=65536");
  CHECK(names_the_cause(primary.refuse("configuration -1", "VDSET_E_ABORT")));
  server.until("server-configuration", "VDSET_E_ABORT");
  const Answer reason = server.ok("server-reason");
  CHECK(reason.number("role") == 2);
  CHECK(reason.at("text").find("limit of open files") != std::string::npos);
  bury(server, primary);
}
