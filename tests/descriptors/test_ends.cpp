// tests/descriptors/test_ends.cpp: abort, death and time-out reach all who wait by descriptor.
#include <sys/socket.h>
#include <csignal>
#include "abi/server.hpp"
#include "tests/descriptors/rig.hpp"

using namespace descriptors;
using vdset::unit::Deadline;

namespace {

constexpr Shape many{64, 0};

/// Arms everything that the agent has.
std::vector<int> arm_all(Agent& agent) {
  std::vector<int> out{agent.set_descriptor()};
  REQUIRE(vdset_set_arm(agent.set) == VDSET_OK);
  for (unsigned i = 0; i < agent.devices.size(); ++i) {
    out.push_back(agent.descriptor(i));
    REQUIRE(vdset_device_arm(agent.devices[i]) == VDSET_OK);
  }
  for (const int descriptor : out)
    CHECK_FALSE(is_readable(descriptor));
  return out;
}

void expect_abort(Agent& agent, std::uint32_t call) {
  for (vdset_device* device : agent.devices) {
    const vdset_command* command = nullptr;
    CHECK(vdset_device_get_command(device, 0, &command) == VDSET_E_ABORT);
  }
  vdset_abort_reason reason{};
  reason.struct_bytes = sizeof reason;
  REQUIRE(vdset_set_get_abort_reason(agent.set, &reason) == VDSET_OK);
  CHECK(reason.call == call);
}

/// The server's view.
void expect_end(const Pair& pair, std::uint32_t call, const std::string& words) {
  vdset_command* done = nullptr;
  CHECK(vdset_server_next_completion(pair.engine.server, brief_ns, &done) == VDSET_E_ABORT);
  vdset_abort_reason reason{};
  reason.struct_bytes = sizeof reason;
  REQUIRE(vdset_server_get_abort_reason(pair.engine.server, &reason) == VDSET_OK);
  CHECK(reason.call == call);
  CHECK(std::string(reason.text) == words);
}

void await_all(const std::vector<int>& descriptors) {
  for (const int descriptor : descriptors)
    await_readable(descriptor);
}

}  // namespace

TEST_CASE("an abort by either side makes every armed descriptor readable") {
  const Deadline deadline(30);
  for (const bool by_server : {true, false}) {
    Pair pair(many);
    const std::vector<int> clients = arm_all(pair.agent);
    const int server = pair.engine.descriptor();
    REQUIRE(vdset_server_arm(pair.engine.server) == VDSET_OK);
    CHECK_FALSE(is_readable(server));
    if (by_server)
      REQUIRE(vdset_server_signal_abort(pair.engine.server, 1, "server") == VDSET_OK);
    else
      REQUIRE(vdset_set_signal_abort(pair.agent.set, 1, "client") == VDSET_OK);
    await_all(clients);
    await_readable(server);
    expect_abort(pair.agent, VDSET_CALL_SIGNAL_ABORT);
    vdset_command* done = nullptr;
    CHECK(vdset_server_next_completion(pair.engine.server, 0, &done) == VDSET_E_ABORT);
  }
}

TEST_CASE("a primary whose request socket hangs up has left after a second") {
  const Deadline deadline(30);
  Pair pair;
  REQUIRE(shutdown(pair.agent.set->request_socket, SHUT_RDWR) == 0);
  expect_end(pair, VDSET_CALL_LEFT, "the primary client let go of its socket");
}

TEST_CASE("what a primary said before its second was over counts, however late it is read") {
  const Deadline deadline(30);
  Pair pair;
  REQUIRE(shutdown(pair.agent.set->request_socket, SHUT_RDWR) == 0);
  const auto& primary = pair.engine.server->peers[vdset::core::primary_index];
  for (bool closed = false; !closed; std::this_thread::yield()) {
    const vdset::port::Locked guard(vdset::library::lock());
    closed = primary.request_socket < 0;
    if (!closed) continue;
    // The library's thread stands still with another event in its hands, until it is too late.
    vdset::library::nudge();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    vdset::Message words;
    words.kind = vdset::MessageKind::abort;
    words.set_text("its own words", 13);
    REQUIRE(vdset::send_message(pair.agent.set->control_socket, words) == 0);
    std::this_thread::sleep_for(std::chrono::nanoseconds(vdset::library::parting_wait_ns));
  }
  expect_end(pair, VDSET_CALL_SIGNAL_ABORT, "its own words");
}

TEST_CASE("the server's death makes every armed descriptor readable") {
  const Deadline deadline(30);
  Meeting meeting;
  Agent agent;
  agent.create(many);
  Process server("server", many);
  agent.open_devices(0, many.devices);
  server.await_word();
  const std::vector<int> descriptors = arm_all(agent);
  server.kill();
  await_all(descriptors);
  expect_abort(agent, VDSET_CALL_DIED);
}

TEST_CASE("the server's death before it has configured makes the set readable") {
  const Deadline deadline(30);
  Meeting meeting;
  Agent agent;
  agent.create(many);
  const int descriptor = agent.set_descriptor();
  REQUIRE(vdset_set_arm(agent.set) == VDSET_OK);
  vdset::unit::Signpost opened;
  {
    vdset::unit::Child child([&] {
      vdset_server* server = nullptr;
      if (vdset_server_open("loop", nullptr, &server) != VDSET_OK) return 1;
      opened.post();
      for (;;)
        pause();
    });
    REQUIRE(opened.await());
    CHECK_FALSE(is_readable(descriptor));
  }
  await_readable(descriptor);
  expect_abort(agent, VDSET_CALL_DIED);
}

TEST_CASE("the primary's death makes the server's and a secondary's descriptors readable") {
  const Deadline deadline(30);
  Meeting meeting;
  Process primary("primary", {1, 0});
  primary.await_word();
  Engine engine;
  engine.open({1, 0});
  engine.name_devices({1, 0});
  primary.await_word();
  const int server = engine.descriptor();
  Agent secondary;
  secondary.join();
  const std::vector<int> descriptors = arm_all(secondary);
  CHECK(descriptors.size() == 1);
  REQUIRE(vdset_server_arm(engine.server) == VDSET_OK);
  CHECK_FALSE(is_readable(server));
  primary.kill();
  await_readable(server);
  vdset_command* done = nullptr;
  CHECK(vdset_server_next_completion(engine.server, 0, &done) == VDSET_E_ABORT);
  await_all(descriptors);
  expect_abort(secondary, VDSET_CALL_DIED);
}

TEST_CASE("the server's death reaches a secondary though the primary stands still") {
  const Deadline deadline(30);
  Meeting meeting;
  Process primary("primary", {1, 0});
  primary.await_word();
  Process server("server", {1, 0});
  server.await_word();
  primary.await_word();
  Agent secondary;
  secondary.join();
  const std::vector<int> descriptors = arm_all(secondary);
  primary.signal(SIGSTOP);
  server.kill();
  await_all(descriptors);
  expect_abort(secondary, VDSET_CALL_DIED);
  primary.signal(SIGCONT);
}

TEST_CASE("an abort between clients needs no help of a server that stands still") {
  const Deadline deadline(30);
  Meeting meeting;
  Process primary("primary", {1, 0});
  primary.await_word();
  Process server("server", {1, 0});
  server.await_word();
  primary.await_word();
  Agent secondary;
  secondary.join();
  const std::vector<int> descriptors = arm_all(secondary);
  server.signal(SIGSTOP);
  primary.say();
  await_all(descriptors);
  vdset_config agreed{};
  agreed.struct_bytes = sizeof agreed;
  CHECK(vdset_set_get_configuration(secondary.set, 0, &agreed) == VDSET_E_ABORT);
}

TEST_CASE("serverTimeOut fires in a server that waits by descriptor alone") {
  const Deadline deadline(30);
  Pair pair({1, 20});
  const int server = pair.engine.descriptor();
  REQUIRE(pair.engine.send(0) == VDSET_OK);
  vdset_command* done = nullptr;
  std::int32_t result;
  while ((result = vdset_server_next_completion(pair.engine.server, 0, &done)) == VDSET_E_TIMEOUT) {
    REQUIRE(vdset_server_arm(pair.engine.server) == VDSET_OK);
    await_readable(server);
  }
  REQUIRE(result == VDSET_OK);  // What was outstanding, ended by the abort.
  CHECK(done->completion_code == VDSET_ERROR_OPERATION_ABORTED);
  CHECK(vdset_server_next_completion(pair.engine.server, 0, &done) == VDSET_E_ABORT);
  vdset_abort_reason reason{};
  reason.struct_bytes = sizeof reason;
  REQUIRE(vdset_set_get_abort_reason(pair.agent.set, &reason) == VDSET_OK);
  CHECK(reason.call == VDSET_CALL_SERVER_TIMEOUT);
}

TEST_CASE("a hostile peer that clears the armed bit delays a wake by a slice at most") {
  const Deadline deadline(30);
  Pair pair;
  vdset_device* const device = pair.agent.devices[0];
  const int descriptor = pair.agent.descriptor(0);
  REQUIRE(vdset_device_arm(device) == VDSET_OK);
  for (const std::string& thread : vdset::unit::entries_of("/proc/self/task"))
    if (std::stoi(thread) != gettid()) vdset::unit::await_sleep(getpid(), std::stoi(thread));
  vdset::core::Word& bell = pair.agent.set->wake->devices[0].event;
  __atomic_store_n(&bell.value, 0u, __ATOMIC_SEQ_CST);
  REQUIRE(pair.engine.send(0) == VDSET_OK);
  await_readable(descriptor);
  const vdset_command* command = nullptr;
  CHECK(vdset_device_get_command(device, 0, &command) == VDSET_OK);
  CHECK(vdset::rescue_count(pair.agent.set->bridges) == 1);
}
