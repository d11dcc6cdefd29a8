// tests/descriptors/test_descriptors.cpp: what arm, clear, disarm and codes promise, one by one.
#include <fcntl.h>
#include "tests/descriptors/rig.hpp"

using namespace descriptors;
using vdset::unit::Deadline;

namespace {

const vdset_command* fetch(vdset_device* device) {
  const vdset_command* command = nullptr;
  REQUIRE(vdset_device_get_command(device, 0, &command) == VDSET_OK);
  return command;
}

void complete(vdset_device* device, const vdset_command* command) {
  CHECK(vdset_device_complete_command(device, command, VDSET_SUCCESS,
                                      static_cast<std::uint32_t>(command->size), 0) == VDSET_OK);
}

bool says_nothing(vdset_device* device) {
  const vdset_command* command = nullptr;
  return vdset_device_get_command(device, 0, &command) == VDSET_E_TIMEOUT;
}

}  // namespace

TEST_CASE("a descriptor is one for the life of its object, and unreadable at first") {
  const Deadline deadline;
  Pair pair;
  const int device = pair.agent.descriptor(0);
  const int set = pair.agent.set_descriptor();
  const int server = pair.engine.descriptor();
  CHECK(device >= 0);
  CHECK(device != set);
  CHECK(device != server);
  CHECK(pair.agent.descriptor(0) == device);
  CHECK(pair.agent.set_descriptor() == set);
  CHECK(pair.engine.descriptor() == server);
  for (const int descriptor : {device, set, server}) {
    CHECK_FALSE(is_readable(descriptor));
    CHECK((fcntl(descriptor, F_GETFD) & FD_CLOEXEC) != 0);
  }
}

TEST_CASE("arming needs a descriptor, getting one a place for it") {
  const Deadline deadline;
  Pair pair;
  CHECK(vdset_device_arm(pair.agent.devices[0]) == VDSET_E_PROTOCOL);
  CHECK(vdset_set_arm(pair.agent.set) == VDSET_E_PROTOCOL);
  CHECK(vdset_server_arm(pair.engine.server) == VDSET_E_PROTOCOL);
  CHECK(vdset_device_get_descriptor(pair.agent.devices[0], nullptr) == VDSET_E_INVALID);
  CHECK(vdset_set_get_descriptor(pair.agent.set, nullptr) == VDSET_E_INVALID);
  CHECK(vdset_server_get_descriptor(pair.engine.server, nullptr) == VDSET_E_INVALID);
  CHECK(vdset_device_arm(nullptr) == VDSET_E_INVALID);
  int out = 77;
  CHECK(vdset_device_get_descriptor(nullptr, &out) == VDSET_E_INVALID);
  CHECK(out == 77);
  vdset_device* const device = pair.agent.devices[0];
  vdset_set* const set = pair.agent.set;
  pair.agent.close();
  CHECK(vdset_device_arm(device) == VDSET_E_NOTOPEN);
  CHECK(vdset_set_get_descriptor(set, &out) == VDSET_E_NOTOPEN);
}

TEST_CASE("a server has its descriptor from EndConfiguration on") {
  const Deadline deadline;
  Meeting meeting;
  Agent agent;
  agent.create({});
  Engine engine;
  REQUIRE(vdset_server_open("loop", nullptr, &engine.server) == VDSET_OK);
  int out = 77;
  CHECK(vdset_server_get_descriptor(engine.server, &out) == VDSET_E_PROTOCOL);
  CHECK(out == 77);
}

TEST_CASE("a command makes an armed device readable, and only arm clears it") {
  const Deadline deadline;
  Pair pair;
  vdset_device* const device = pair.agent.devices[0];
  const int descriptor = pair.agent.descriptor(0);
  for (int i = 0; i < 50; ++i) {
    REQUIRE(says_nothing(device));
    REQUIRE(vdset_device_arm(device) == VDSET_OK);
    CHECK_FALSE(is_readable(descriptor));
    REQUIRE(pair.engine.send(0) == VDSET_OK);
    await_readable(descriptor);
    const vdset_command* const command = fetch(device);
    CHECK(std::memcmp(command->buffer, &pair.engine.sent, sizeof pair.engine.sent) == 0);
    complete(device, command);
    CHECK(is_readable(descriptor));
    vdset_command* done = nullptr;
    REQUIRE(vdset_server_next_completion(pair.engine.server, brief_ns, &done) == VDSET_OK);
  }
}

TEST_CASE("what is there before arm is told by arm") {
  const Deadline deadline;
  Pair pair;
  vdset_device* const device = pair.agent.devices[0];
  const int descriptor = pair.agent.descriptor(0);
  const int server = pair.engine.descriptor();
  REQUIRE(pair.engine.send(0) == VDSET_OK);
  CHECK_FALSE(is_readable(descriptor));
  REQUIRE(vdset_device_arm(device) == VDSET_OK);
  CHECK(is_readable(descriptor));
  complete(device, fetch(device));
  REQUIRE(vdset_server_arm(pair.engine.server) == VDSET_OK);
  CHECK(is_readable(server));
  vdset_command* done = nullptr;
  CHECK(vdset_server_next_completion(pair.engine.server, 0, &done) == VDSET_OK);
  CHECK(vdset_server_next_completion(pair.engine.server, 0, &done) == VDSET_E_TIMEOUT);
  REQUIRE(vdset_server_arm(pair.engine.server) == VDSET_OK);
  CHECK_FALSE(is_readable(server));
}

TEST_CASE("a second look between arm and the loop keeps the arming, a hit ends it") {
  const Deadline deadline;
  Pair pair;
  vdset_device* const device = pair.agent.devices[0];
  const int descriptor = pair.agent.descriptor(0);
  REQUIRE(vdset_device_arm(device) == VDSET_OK);
  CHECK(says_nothing(device));
  REQUIRE(pair.engine.send(0) == VDSET_OK);
  await_readable(descriptor);
  complete(device, fetch(device));
  vdset_command* done = nullptr;
  REQUIRE(vdset_server_next_completion(pair.engine.server, brief_ns, &done) == VDSET_OK);

  REQUIRE(vdset_device_arm(device) == VDSET_OK);
  REQUIRE(pair.engine.send(0) == VDSET_OK);
  const vdset_command* const command = fetch(device);  // Before or after the bridge: both are fine.
  complete(device, command);
  REQUIRE(vdset_server_next_completion(pair.engine.server, brief_ns, &done) == VDSET_OK);
  REQUIRE(vdset_device_arm(device) == VDSET_OK);
  CHECK_FALSE(is_readable(descriptor));
}

TEST_CASE("a wait of its own takes over from an armed descriptor") {
  const Deadline deadline;
  Pair pair;
  vdset_device* const device = pair.agent.devices[0];
  pair.agent.descriptor(0);
  REQUIRE(vdset_device_arm(device) == VDSET_OK);
  const vdset_command* command = nullptr;
  std::thread waiter([&] {
    std::int32_t result;
    do {  // BUSY: the arm below was first.
      result = vdset_device_get_command(device, brief_ns, &command);
    } while (result == VDSET_E_BUSY);
    CHECK(result == VDSET_OK);
  });
  // Armed by the wait: nothing else may fetch, and the descriptor is out of it.
  while (vdset_device_arm(device) != VDSET_E_BUSY)
    std::this_thread::yield();
  REQUIRE(pair.engine.send(0) == VDSET_OK);
  waiter.join();
  CHECK(command != nullptr);
}

TEST_CASE("a batch that next_completion holds back is told by arm") {
  const Deadline deadline;
  Pair pair({4, 0});
  const int server = pair.engine.descriptor();
  for (unsigned i = 0; i < 4; ++i) {
    REQUIRE(pair.engine.send(i) == VDSET_OK);
    complete(pair.agent.devices[i], fetch(pair.agent.devices[i]));
  }
  vdset_command* done = nullptr;
  for (int left = 4; left > 0; --left) {
    REQUIRE(vdset_server_arm(pair.engine.server) == VDSET_OK);
    CHECK(is_readable(server));
    REQUIRE(vdset_server_next_completion(pair.engine.server, 0, &done) == VDSET_OK);
  }
  REQUIRE(vdset_server_arm(pair.engine.server) == VDSET_OK);
  CHECK_FALSE(is_readable(server));
}

TEST_CASE("a set tells of its configuration although another thread has taken it in already") {
  const Deadline deadline(60);
  for (unsigned round = 0; round < 100; ++round) {
    Meeting meeting;
    Agent agent;
    Engine engine;
    agent.create({});
    const int descriptor = agent.set_descriptor();
    REQUIRE(vdset_set_arm(agent.set) == VDSET_OK);
    std::int32_t result = VDSET_E_TIMEOUT;
    std::thread other([&] {
      vdset_config agreed{};
      agreed.struct_bytes = sizeof agreed;
      result = vdset_set_get_configuration(agent.set, VDSET_INFINITE, &agreed);
    });
    engine.open({});
    other.join();
    CHECK(result == VDSET_OK);
    await_readable(descriptor);
  }
}

TEST_CASE("a set tells of its configuration, then of its abort") {
  const Deadline deadline;
  Meeting meeting;
  Agent agent;
  Engine engine;
  agent.create({});
  const int descriptor = agent.set_descriptor();
  vdset_config agreed{};
  agreed.struct_bytes = sizeof agreed;
  REQUIRE(vdset_set_arm(agent.set) == VDSET_OK);
  CHECK(vdset_set_get_configuration(agent.set, 0, &agreed) == VDSET_E_TIMEOUT);
  CHECK_FALSE(is_readable(descriptor));
  engine.open({});
  await_readable(descriptor);
  REQUIRE(vdset_set_get_configuration(agent.set, 0, &agreed) == VDSET_OK);
  REQUIRE(vdset_set_arm(agent.set) == VDSET_OK);
  CHECK_FALSE(is_readable(descriptor));
  engine.name_devices({});
  agent.open_devices(0, 1);
  CHECK_FALSE(is_readable(descriptor));
  REQUIRE(vdset_server_signal_abort(engine.server, 7, "enough") == VDSET_OK);
  await_readable(descriptor);
  CHECK(vdset_set_get_configuration(agent.set, 0, &agreed) == VDSET_E_ABORT);
}

TEST_CASE("an interrupt and the server's CloseDevice make a device readable") {
  const Deadline deadline;
  Pair pair({2, 0});
  vdset_device* const device = pair.agent.devices[0];
  const int descriptor = pair.agent.descriptor(0);
  const vdset_command* command = nullptr;
  REQUIRE(vdset_device_arm(device) == VDSET_OK);
  REQUIRE(vdset_device_interrupt(device) == VDSET_OK);
  await_readable(descriptor);
  CHECK(vdset_device_get_command(device, 0, &command) == VDSET_E_INTERRUPTED);
  REQUIRE(vdset_device_arm(device) == VDSET_OK);
  CHECK_FALSE(is_readable(descriptor));
  REQUIRE(vdset_server_device_close(pair.engine.devices[0]) == VDSET_OK);
  await_readable(descriptor);
  CHECK(vdset_device_get_command(device, 0, &command) == VDSET_E_CLOSE);
  REQUIRE(vdset_device_arm(device) == VDSET_OK);
  CHECK(is_readable(descriptor));  // Every later call says CLOSE: never a wait.
}

TEST_CASE("Close makes a duplicate readable, and leaves neither descriptors nor threads") {
  const Deadline deadline(30);
  {
    Pair pair;  // Whatever is made once.
    pair.agent.descriptor(0);
  }
  const std::size_t before = vdset::unit::descriptor_count();
  const std::size_t threads = vdset::unit::thread_count();
  for (int round = 0; round < 20; ++round) {
    int copies[3];
    {
      Pair pair({3, 0});
      copies[0] = dup(pair.agent.descriptor(0));
      copies[1] = dup(pair.agent.set_descriptor());
      copies[2] = dup(pair.engine.descriptor());
      pair.agent.descriptor(2);
      REQUIRE(vdset_device_arm(pair.agent.devices[0]) == VDSET_OK);
      for (const int copy : copies)
        CHECK_FALSE(is_readable(copy));
    }
    for (const int copy : copies) {
      CHECK(is_readable(copy));
      close(copy);
    }
  }
  CHECK(vdset::unit::descriptor_count() == before);
  vdset::unit::await_threads(threads);
}

TEST_CASE("all descriptors of a set are served by one thread where the kernel can") {
  const Deadline deadline;
  Pair pair({64, 0});
  const std::size_t before = vdset::unit::thread_count();
  for (unsigned i = 0; i < 64; ++i)
    pair.agent.descriptor(i);
  pair.agent.set_descriptor();
  const std::size_t more = vdset_supports(VDSET_SUPPORT_WAIT_MANY) == 1 ? 1 : 65;
  CHECK(vdset::unit::thread_count() == before + more);
}

TEST_CASE("a forked child has no descriptor") {
  const Deadline deadline;
  Pair pair;
  const int descriptor = pair.agent.descriptor(0);
  const int server = pair.engine.descriptor();
  REQUIRE(vdset_device_arm(pair.agent.devices[0]) == VDSET_OK);
  vdset::unit::Child child([&] {
    int out;
    const bool gone = fcntl(descriptor, F_GETFD) == -1 && fcntl(server, F_GETFD) == -1;
    const bool refused = vdset_device_arm(pair.agent.devices[0]) == VDSET_E_NOTOPEN &&
                         vdset_server_get_descriptor(pair.engine.server, &out) == VDSET_E_NOTOPEN;
    return gone && refused ? 0 : 1;
  });
  CHECK(child.exit_code() == 0);
  REQUIRE(pair.engine.send(0) == VDSET_OK);
  await_readable(descriptor);  // The parent's is untouched.
}
