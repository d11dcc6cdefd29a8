// tests/crash/test_order.cpp
// Goal: a thread that is held up between two accesses keeps nobody from what the others are to see.
// Method: the library over the counting policy, which calls back instead of killing, in the middle
// of a call of the server's; what the agent would find there is looked at.
#include "abi/server.hpp"
#include "tests/unit/both_sides.hpp"

using namespace vdset;
using namespace vdset::unit;

namespace {

vdset_server* watched = nullptr;
unsigned reached = 0, marked = 0;

/// Just before the command can be seen by its client, and so be completed.
void look_at_mark(core::Site) {
  ++reached;
  marked += watched->outstanding[0].load() & 1u;
}

}  // namespace

TEST_CASE("before a command can be completed the agent is told to look at its device") {
  BothSides both;
  watched = both.server;
  REQUIRE(vdset_server_allocate_buffer(both.server, transfer_bytes, 0, &both.write.buffer) ==
          VDSET_OK);
  atomics.count_only(core::Site::post_sequence);
  atomics.kill_with(0);  // No signal: it only calls back.
  atomics.before_kill(look_at_mark);
  constexpr unsigned rounds = 3;
  for (unsigned round = 1; round <= rounds; ++round) {
    atomics.kill_at(atomics.count() + 1);
    REQUIRE(vdset_server_device_send_command(both.server_device, &both.write) == VDSET_OK);
    CHECK(reached == round);
    CHECK(marked == round);
    const vdset_command* command = nullptr;
    REQUIRE(vdset_device_get_command(both.device, 0, &command) == VDSET_OK);
    REQUIRE(vdset_device_complete_command(both.device, command, 0, transfer_bytes, 0) == VDSET_OK);
    vdset_command* done = nullptr;
    REQUIRE(vdset_server_next_completion(both.server, 0, &done) == VDSET_OK);
    // A look for nothing takes the mark away.
    REQUIRE(vdset_server_next_completion(both.server, 0, &done) == VDSET_E_TIMEOUT);
    CHECK((watched->outstanding[0].load() & 1u) == 0);
  }
}
