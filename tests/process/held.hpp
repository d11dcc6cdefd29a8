// tests/process/held.hpp: a set of two devices, for tests of what becomes of a secondary's.
#pragma once
#include <doctest/doctest.h>
#include <string>
#include "tests/support/process.hpp"

namespace process {

/// One device that a secondary holds commands of; another is the primary's.
struct Held {
  explicit Held(const std::string& create)
      : server(stage.add("server")), primary(stage.add("primary")) {
    Plan plan;
    plan.devices = 2;
    plan.create = "depth=8 " + create;
    plan.requests = {"4096 0 16"};
    configure(server, primary, "held", plan);
    activate(server, "held", 2);
    primary.ok("open held");
  }
  Role& join(const std::string& name) {
    Role& role = stage.add(name);
    role.ok("join held");
    role.ok("open held.1");
    return role;
  }
  std::uint64_t send(std::uint64_t seed) {
    buffer = server.ok("allocate 4096 0").at("buffer");
    server.ok("fill " + buffer + " 4096 " + std::to_string(seed));
    return server
        .ok("send 2 4096 device=held.1 buffer=" + buffer + " position=" + std::to_string(seed))
        .number("id");
  }
  /// A command on the primary's device comes and goes.
  void expect_others_work() {
    server.ok("send 12 0 device=held");
    primary.ok("complete " + primary.ok("get -1").at("id") + " 0");
    const Answer done = server.ok("completion");
    CHECK(done.number("code") == 0);
  }
  void end() {
    CHECK_FALSE(server.answered("agent"));
    bury(server, primary);
  }

  Stage stage;
  Role& server;
  Role& primary;
  std::string buffer;  // Of what was sent last.
};

/// Brings a device that lost its consumer back to work, for `next`.
inline void reopen(Held& held, Role& next) {
  held.server.ok("send 3 0 device=held.1");
  next.ok("join held");
  next.ok("open held.1");
  next.ok("complete " + next.ok("get -1").at("id") + " 0");
  CHECK(held.server.ok("completion").number("code") == 0);
}

}  // namespace process
