// tests/descriptors/test_wakes.cpp: the wake connections: who is woken without the bridge, and what
// a peer that abuses its end, or a process without descriptors to spare, makes of it.
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include "abi/server.hpp"
#include "tests/descriptors/rig.hpp"
#include "tests/support/options.hpp"

using namespace descriptors;
using namespace vdset;
using vdset::unit::Deadline;

namespace {

/// Until the server has answered the device's WAKE.
void await_connection(vdset_device* device) {
  REQUIRE(device->wake_end.is_open());
  while (device->wake_end.is_pending())
    std::this_thread::yield();
  REQUIRE(device->wake_end.is_open());
}

void arm(vdset_device* device) {
  REQUIRE(vdset_device_arm(device) == VDSET_OK);
}

bool says_nothing(vdset_device* device) {
  const vdset_command* command = nullptr;
  return vdset_device_get_command(device, 0, &command) == VDSET_E_TIMEOUT;
}

/// Fetches what is there, and completes it.
void answer(vdset_device* device) {
  const vdset_command* command = nullptr;
  REQUIRE(vdset_device_get_command(device, 0, &command) == VDSET_OK);
  REQUIRE(vdset_device_complete_command(device, command, VDSET_SUCCESS, 4096, 0) == VDSET_OK);
}

void reap(Engine& engine) {
  vdset_command* done = nullptr;
  REQUIRE(vdset_server_next_completion(engine.server, brief_ns, &done) == VDSET_OK);
}

/// A command there and back, the client woken by its descriptor, whoever does it.
void round_trip(Pair& pair, unsigned i = 0) {
  vdset_device* const device = pair.agent.devices[i];
  const int descriptor = pair.agent.descriptor(i);
  REQUIRE(says_nothing(device));
  arm(device);
  REQUIRE(pair.engine.send(i) == VDSET_OK);
  await_readable(descriptor);
  answer(device);
  reap(pair.engine);
}

/// One that the bridge has no part in: it needs the lock.
void round_trip_without_bridge(Pair& pair, unsigned i = 0) {
  vdset_device* const device = pair.agent.devices[i];
  const int descriptor = pair.agent.descriptor(i);
  arm(device);
  CHECK_FALSE(is_readable(descriptor));
  {
    const port::Locked no_bridge(device->pollable.lock);
    REQUIRE(pair.engine.send(i) == VDSET_OK);
    CHECK(is_readable(descriptor));
  }
  answer(device);
  reap(pair.engine);
}

/// Plays the peer of an end.
struct Impostor {
  int socket = -1;
  ~Impostor() { port::close_descriptor(socket); }
  int replace() {
    int pair[2] = {-1, -1};
    REQUIRE(port::socket_make_pair(pair) == 0);
    port::close_descriptor(socket);
    socket = pair[1];
    return pair[0];
  }
  void fill() const {
    while (port::look_send(socket) == 0) {
    }
  }
};

/// A server with two devices in a loop; the client of the first is an impostor.
struct HostileClient {
  Pair pair{{2, 0}};
  int server = pair.engine.descriptor();
  Impostor client;
  WakeEnd& end = pair.engine.server->devices[0]->wake_end;

  HostileClient() {
    pair.agent.descriptor(1);
    await_connection(pair.agent.devices[1]);
    end.take(client.replace());
  }
  /// It is found out, and the other device is as before.
  void check_alone() {
    REQUIRE(vdset_server_arm(pair.engine.server) == VDSET_OK);
    CHECK_FALSE(is_readable(server));
    round_trip_without_bridge(pair, 1);
  }
};

/// What a hostile peer may do to its end.
enum class Abuse { shuts, closes, writes, lies };
void abuse(Impostor& peer, Abuse how) {
  switch (how) {
    case Abuse::shuts: REQUIRE(shutdown(peer.socket, SHUT_RDWR) == 0); break;
    case Abuse::closes: port::close_descriptor(peer.socket); break;
    case Abuse::writes: REQUIRE(shutdown(peer.socket, SHUT_WR) == 0); break;
    case Abuse::lies: REQUIRE(send(peer.socket, "something else", 14, 0) == 14); break;
  }
}
constexpr Abuse abuses[] = {Abuse::shuts, Abuse::closes, Abuse::writes, Abuse::lies};

/// Without it another user's client has no connections.
bool kernel_refuses_descriptors() {
  int pair[2] = {-1, -1};
  REQUIRE(port::socket_make_pair(pair) == 0);
  const bool refuses = port::refuse_descriptors(pair[0], true);
  for (int& end : pair)
    port::close_descriptor(end);
  return refuses;
}

/// From here on the kernel takes this thread for another user's, who may open what root may.
constexpr std::uint32_t nobody = 65534;
void be_somebody_else() {
  REQUIRE(syscall(SYS_setresuid, -1, nobody, -1) == 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2] = {};
  REQUIRE(syscall(SYS_capget, &header, sets) == 0);
  sets[0].effective = sets[0].permitted;
  sets[1].effective = sets[1].permitted;
  REQUIRE(syscall(SYS_capset, &header, sets) == 0);
}

/// A set that this other user may join.
void create_for_somebody(Agent& agent) {
  const std::uint32_t admitted[] = {nobody};
  const auto wish = support::wish_for(1);
  auto options = support::sized<vdset_set_options>();
  options.allowed_uids = admitted;
  options.allowed_uids_count = 1;
  REQUIRE(vdset_set_create("loop", &wish, &options, &agent.set) == VDSET_OK);
}

/// A WAKE of this process's making; what becomes of it.
int send_wake(vdset_set* set, const Message& question) {
  const int socket =
      port::socket_connect(set->held.directory, stem_of(set->name).text, port::never);
  REQUIRE(socket >= 0);
  REQUIRE(send_message(socket, question) == 0);
  return socket;
}

Message wake_of(vdset_set* set, std::uint32_t device) {
  Message question;
  question.kind = MessageKind::wake;
  question.a = set->me;
  question.b = core::layout_version;
  question.c = device;
  std::memcpy(question.uuid, set->geometry.uuid, sizeof question.uuid);
  return question;
}

}  // namespace

TEST_CASE("a server that sends wakes a loop without its bridge") {
  const Deadline deadline;
  Pair pair({3, 0});
  for (unsigned i = 0; i < 3; ++i) {
    round_trip(pair, i);
    await_connection(pair.agent.devices[i]);
  }
  for (int round = 0; round < 50; ++round)
    for (unsigned i = 0; i < 3; ++i)
      round_trip_without_bridge(pair, i);
}

TEST_CASE("a client that completes wakes the server's loop without its bridge") {
  const Deadline deadline;
  Pair pair({3, 0});
  const int server = pair.engine.descriptor();
  for (unsigned i = 0; i < 3; ++i) {
    pair.agent.descriptor(i);
    await_connection(pair.agent.devices[i]);
  }
  vdset_command* done = nullptr;
  for (unsigned round = 0; round < 60; ++round) {
    const unsigned i = round % 3;
    REQUIRE(pair.engine.send(i) == VDSET_OK);
    while (vdset_server_next_completion(pair.engine.server, 0, &done) != VDSET_E_TIMEOUT) {
    }
    REQUIRE(vdset_server_arm(pair.engine.server) == VDSET_OK);
    // The bridge may have told of the connection that came.
    if (round >= 3) CHECK_FALSE(is_readable(server));
    {
      const port::Locked no_bridge(pair.engine.server->pollable.lock);
      answer(pair.agent.devices[i]);
      CHECK(is_readable(server));
    }
    reap(pair.engine);
  }
}

TEST_CASE("a client that waits in calls comes to wake the server's loop, too") {
  const Deadline deadline;
  Pair pair;
  vdset_device* const device = pair.agent.devices[0];
  const int server = pair.engine.descriptor();
  std::thread client([&] {
    const vdset_command* command = nullptr;
    while (vdset_device_get_command(device, VDSET_INFINITE, &command) == VDSET_OK)
      vdset_device_complete_command(device, command, VDSET_SUCCESS, 4096, 0);
  });
  bool direct = false;
  for (int round = 0; round < 10'000 && !direct; ++round) {
    vdset_command* done = nullptr;
    REQUIRE(vdset_server_next_completion(pair.engine.server, 0, &done) == VDSET_E_TIMEOUT);
    REQUIRE(vdset_server_arm(pair.engine.server) == VDSET_OK);
    {
      const port::Locked no_bridge(pair.engine.server->pollable.lock);
      REQUIRE(pair.engine.send(0) == VDSET_OK);
      direct = port::wait_readable(server, port::deadline_after(20'000'000)) == 1;
    }
    reap(pair.engine);
  }
  CHECK(direct);
  REQUIRE(vdset_server_device_close(pair.engine.devices[0]) == VDSET_OK);
  client.join();
}

TEST_CASE("completions that are called back are not looks for nothing") {
  const Deadline deadline;
  Pair pair;
  const int server = pair.engine.descriptor();
  vdset_device* const device = pair.agent.devices[0];
  pair.agent.descriptor(0);
  await_connection(device);
  int called = 0;
  pair.engine.commands[0].completion = [](vdset_command*, void* context) {
    ++*static_cast<int*>(context);
  };
  pair.engine.commands[0].context = &called;
  vdset_command* none = nullptr;
  for (int round = 1; round <= 200; ++round) {
    REQUIRE(vdset_server_arm(pair.engine.server) == VDSET_OK);
    REQUIRE(pair.engine.send(0) == VDSET_OK);
    answer(device);
    await_readable(server);
    while (called < round)
      REQUIRE(vdset_server_next_completion(pair.engine.server, 0, &none) == VDSET_E_TIMEOUT);
  }
  CHECK(pair.engine.server->devices[0]->wake_end.is_open());
}

TEST_CASE("a hostile server that abuses its end is one that wakes by the word") {
  const Deadline deadline;
  for (const Abuse how : abuses) {
    CAPTURE(static_cast<int>(how));
    Pair pair;
    vdset_device* const device = pair.agent.devices[0];
    const int descriptor = pair.agent.descriptor(0);
    await_connection(device);
    Impostor server;
    pair.engine.server->devices[0]->wake_end.close();
    device->wake_end.await(server.replace());
    REQUIRE(port::look_send(server.socket) == 0);
    arm(device);
    CHECK_FALSE(device->wake_end.is_pending());
    abuse(server, how);
    CHECK(is_readable(descriptor));  // Once; then it is found out.
    arm(device);
    CHECK_FALSE(device->wake_end.is_open());
    CHECK_FALSE(is_readable(descriptor));
    for (int round = 0; round < 20; ++round)
      round_trip(pair);
    CHECK(rescue_count(pair.agent.set->bridges) == 0);
  }
}

TEST_CASE("a hostile server that looks without end costs a loop a bounded number of turns") {
  const Deadline deadline;
  Pair pair;
  vdset_device* const device = pair.agent.devices[0];
  const int descriptor = pair.agent.descriptor(0);
  await_connection(device);
  for (const bool full : {false, true}) {
    Impostor server;
    pair.engine.server->devices[0]->wake_end.close();
    device->wake_end.await(server.replace());
    REQUIRE(port::look_send(server.socket) == 0);
    arm(device);
    int turns = 0;
    while (device->wake_end.is_open()) {
      if (full)
        server.fill();
      else
        port::look_send(server.socket);
      CHECK(is_readable(descriptor));
      REQUIRE(says_nothing(device));
      arm(device);
      REQUIRE(++turns < 100);
    }
    CHECK(turns > 10);
    CHECK_FALSE(is_readable(descriptor));
    round_trip(pair);
    Impostor again;  // Before the device is closed it gets no other.
    device->wake_end.await(again.replace());
    CHECK_FALSE(device->wake_end.is_open());
    device->wake_end.close();
  }
}

TEST_CASE("a hostile client that abuses its end touches nobody else's wake") {
  const Deadline deadline;
  for (const Abuse how : abuses) {
    CAPTURE(static_cast<int>(how));
    Pair pair({2, 0});
    const int server = pair.engine.descriptor();
    for (unsigned i = 0; i < 2; ++i) {
      pair.agent.descriptor(i);
      await_connection(pair.agent.devices[i]);
    }
    Impostor client;
    pair.engine.server->devices[0]->wake_end.take(client.replace());
    vdset_command* done = nullptr;
    REQUIRE(vdset_server_arm(pair.engine.server) == VDSET_OK);
    abuse(client, how);
    CHECK(is_readable(server));
    REQUIRE(vdset_server_next_completion(pair.engine.server, 0, &done) == VDSET_E_TIMEOUT);
    REQUIRE(vdset_server_arm(pair.engine.server) == VDSET_OK);
    CHECK_FALSE(pair.engine.server->devices[0]->wake_end.is_open());
    CHECK_FALSE(is_readable(server));
    for (int round = 0; round < 20; ++round) {
      round_trip_without_bridge(pair, 1);
      // By the word: its own connection is gone.
      round_trip(pair, 0);
    }
  }
}

TEST_CASE("a hostile client that reads nothing, or looks without end, holds up no server") {
  const Deadline deadline;
  HostileClient rig;
  for (int i = 0; i < 10'000; ++i)
    REQUIRE(rig.end.raise());
  int turns = 0;
  vdset_command* done = nullptr;
  for (; rig.end.is_open(); ++turns) {
    REQUIRE(turns < 100);
    REQUIRE(vdset_server_arm(rig.pair.engine.server) == VDSET_OK);
    rig.client.fill();
    if (rig.end.is_open()) CHECK(is_readable(rig.server));
    REQUIRE(vdset_server_next_completion(rig.pair.engine.server, 0, &done) == VDSET_E_TIMEOUT);
  }
  CHECK(turns > 10);
  rig.check_alone();
}

TEST_CASE("who looks for nothing is found out, however much others have for the server") {
  const Deadline deadline;
  HostileClient rig;
  int turns = 0;
  for (; rig.end.is_open(); ++turns) {
    REQUIRE(turns < 200);
    REQUIRE(vdset_server_arm(rig.pair.engine.server) == VDSET_OK);
    port::look_send(rig.client.socket);
    round_trip(rig.pair, 1);
    CHECK(rig.pair.engine.server->devices[1]->wake_end.is_open());
  }
  CHECK(turns > 10);
  rig.check_alone();
}

TEST_CASE("the duplicate of an ended object's descriptor stays readable, whatever was closed") {
  const Deadline deadline;
  Impostor stranger;
  for (int round = 0; round < 3; ++round) {
    // What the library keeps open, under another file's name.
    const int kept = vdset::library::readable_for_ever();
    REQUIRE(kept >= 0);
    CHECK(is_readable(kept));
    const int quiet = stranger.replace();
    REQUIRE(dup2(quiet, kept) == kept);
    close(quiet);
    int duplicate = -1;
    {
      Pair pair;
      duplicate = dup(pair.agent.descriptor(0));
      REQUIRE(duplicate >= 0);
      CHECK_FALSE(is_readable(duplicate));
    }
    CHECK(is_readable(duplicate));
    port::close_descriptor(duplicate);
    CHECK_FALSE(is_readable(kept));  // The stranger's, untouched.
    close(kept);
  }
}

TEST_CASE("a connection is for the device's consumer alone") {
  const Deadline deadline;
  Pair pair({2, 0});
  vdset_set* const set = pair.agent.set;
  WakeEnd& end = pair.engine.server->devices[1]->wake_end;
  const auto is_taken = [&](const Message& question) {
    int socket = send_wake(set, question);
    REQUIRE(port::wait_readable(socket, port::never) == 1);
    const bool taken = port::look_receive(socket) == 1;
    CHECK(end.is_open() == taken);
    port::close_descriptor(socket);
    end.close();
    return taken;
  };
  const Message right = wake_of(set, 1);
  CHECK(is_taken(right));
  const auto is_spoilt_taken = [&](auto spoil) {
    Message question = right;
    spoil(question);
    return is_taken(question);
  };
  for (const std::uint32_t a : {0u, 2u, 254u, 255u, 256u, ~0u})
    CHECK_FALSE(is_spoilt_taken([a](Message& m) { m.a = a; }));
  for (const std::uint32_t c : {2u, 64u, ~0u})
    CHECK_FALSE(is_spoilt_taken([c](Message& m) { m.c = c; }));
  CHECK_FALSE(is_spoilt_taken([](Message& m) { m.b = 0x00030000; }));
  CHECK_FALSE(is_spoilt_taken([](Message& m) { ++m.uuid[2]; }));
  CHECK(is_taken(right));
  // Another process, whatever it says.
  unit::Child stranger([&] {
    port::Directory directory;
    const char* why = nullptr;
    if (port::directory_open(getenv("VDSET_RUNTIME_DIR"), false, directory, why) != 0) return 1;
    const int socket = port::socket_connect(directory, stem_of(set->name).text, port::never);
    if (socket < 0 || send_message(socket, right) != 0) return 2;
    return port::wait_readable(socket, port::never) == 1 && port::look_receive(socket) < 0 ? 0 : 3;
  });
  CHECK(stranger.exit_code() == 0);
}

TEST_CASE("another user's client has a connection where the kernel refuses descriptors") {
  if (geteuid() != 0) return;
  const Deadline deadline;
  Meeting meeting;
  Agent agent;
  Engine engine;
  create_for_somebody(agent);
  engine.open({1, 0});
  engine.name_devices({1, 0});
  agent.open_devices(0, 1);
  WakeEnd& end = engine.server->devices[0]->wake_end;
  std::thread other([&] {
    be_somebody_else();
    int socket = send_wake(agent.set, wake_of(agent.set, 0));
    REQUIRE(port::wait_readable(socket, port::never) == 1);
    const bool taken = port::look_receive(socket) == 1;
    CHECK(taken == kernel_refuses_descriptors());
    CHECK(taken == end.is_open());
    port::close_descriptor(socket);
  });
  other.join();
}

TEST_CASE("a client of another user's server has one where the kernel refuses descriptors") {
  if (geteuid() != 0) return;
  const Deadline deadline;
  for (const bool known : {false, true}) {
    Pair pair;
    pair.agent.set->server_is_own_users = known;
    pair.agent.descriptor(0);
    CHECK(pair.agent.devices[0]->wake_end.is_open() == (known || kernel_refuses_descriptors()));
    round_trip(pair);
  }
  // By the kernel's word: the server of a thread that is another user's.
  Meeting meeting;
  Agent agent;
  Engine engine;
  create_for_somebody(agent);
  std::thread other([&] {
    be_somebody_else();
    engine.open({1, 0});
  });
  other.join();
  CHECK_FALSE(agent.set->server_is_own_users);
  engine.name_devices({1, 0});
  agent.open_devices(0, 1);
  agent.descriptor(0);
  CHECK(agent.devices[0]->wake_end.is_open() == kernel_refuses_descriptors());
}

TEST_CASE("a device that another process opens has a connection of its own") {
  const Deadline deadline;
  Meeting meeting;
  Agent agent;
  Engine engine;
  agent.create({2, 0});
  engine.open({2, 0});
  engine.name_devices({2, 0});
  agent.open_devices(0, 1);
  WakeEnd& end = engine.server->devices[1]->wake_end;
  const auto command = [&] {
    REQUIRE(engine.send(1) == VDSET_OK);
    reap(engine);
  };
  for (int round = 0; round < 3; ++round) {
    Process secondary("secondary", {2, 0});
    secondary.await_word();
    CHECK(end.is_open());
    for (int i = 0; i < 20; ++i)
      command();
    secondary.kill();
    while (end.is_open())
      std::this_thread::yield();
  }
}

TEST_CASE("without descriptors to spare a loop is woken by the bridge alone") {
  const Deadline deadline;
  bool plain = false, unconnected = false, direct = false;
  const vdset_command* nothing = nullptr;
  for (unsigned spare = 0; spare < 8; ++spare) {
    CAPTURE(spare);
    Pair pair;
    vdset_device* const device = pair.agent.devices[0];
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    const int next = dup(0);  // The lowest free number: none above is used.
    close(next);
    rlimit tight = before;
    tight.rlim_cur = static_cast<rlim_t>(next) + spare;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &tight) == 0);
    int descriptor = -1;
    const std::int32_t result = vdset_device_get_descriptor(device, &descriptor);
    REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
    if (result != VDSET_OK) {
      CHECK(spare == 0);
      continue;
    }
    if (device->pollable.descriptor == device->pollable.signal) {
      plain = true;
    } else if (!device->wake_end.is_open()) {
      unconnected = true;
    } else {
      direct = true;
    }
    const bool had_one = device->wake_end.is_open();
    CHECK(vdset_device_arm(device) == VDSET_OK);
    CHECK(device->wake_end.is_open() == had_one);  // Not asked for again so soon.
    CHECK(vdset_device_get_command(device, 1, &nothing) == VDSET_E_TIMEOUT);
    device->ask_again_ns = 0;  // As if a slice had passed.
    CHECK(vdset_device_arm(device) == VDSET_OK);
    CHECK(device->wake_end.is_open());  // Now that there is one to spare.
    CHECK_FALSE(is_readable(descriptor));
    for (int round = 0; round < 10; ++round) {
      CHECK(vdset_device_arm(device) == VDSET_OK);
      REQUIRE(pair.engine.send(0) == VDSET_OK);
      await_readable(descriptor);
      answer(device);
      reap(pair.engine);
    }
  }
  CHECK(plain);
  CHECK(unconnected);
  CHECK(direct);
}

TEST_CASE("a server that stands still, or knows no WAKE, makes no get_descriptor wait") {
  const Deadline deadline(30);
  Meeting meeting;
  Agent agent;
  agent.create({2, 0});
  Process server("server", {2, 0});
  agent.open_devices(0, 2);
  server.await_word();
  server.signal(SIGSTOP);
  const int descriptor = agent.descriptor(0);
  arm(agent.devices[0]);
  CHECK(agent.devices[0]->wake_end.is_pending());
  CHECK_FALSE(is_readable(descriptor));
  REQUIRE(vdset_device_interrupt(agent.devices[0]) == VDSET_OK);
  await_readable(descriptor);
  server.signal(SIGCONT);
  await_connection(agent.devices[0]);
  // One that hangs up instead of an answer.
  Impostor old;
  agent.devices[1]->wake_end.await(old.replace());
  port::close_descriptor(old.socket);
  vdset_device* const device = agent.devices[1];
  const int other = agent.descriptor(1);
  device->wake_end.close();
  device->wake_end.await(old.replace());
  port::close_descriptor(old.socket);
  arm(device);
  CHECK_FALSE(device->wake_end.is_open());
  REQUIRE(vdset_device_interrupt(device) == VDSET_OK);
  await_readable(other);
}

TEST_CASE("one loop polls more devices than the kernel lets poll sets share a file") {
  const Deadline deadline(60);
  rlimit limit{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max;
  REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  const int loop = epoll_create1(EPOLL_CLOEXEC);
  REQUIRE(loop >= 0);
  std::vector<std::unique_ptr<Pair>> pairs;
  int refused = 0;
  for (int set = 0; set < 8; ++set) {
    pairs.push_back(std::make_unique<Pair>(Shape{64, 0}));
    for (unsigned i = 0; i < 64; ++i) {
      epoll_event event{};
      event.events = EPOLLIN;
      refused += epoll_ctl(loop, EPOLL_CTL_ADD, pairs.back()->agent.descriptor(i), &event) != 0;
    }
  }
  CHECK(refused == 0);
  pairs.clear();
  close(loop);
}

TEST_CASE("a connection that closes itself ends for the peer, too, whoever holds a copy") {
  const Deadline deadline;
  Pair pair;
  vdset_device* const device = pair.agent.devices[0];
  pair.engine.descriptor();
  const int descriptor = pair.agent.descriptor(0);
  await_connection(device);
  // A child that no fork handler sees.
  const long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (child == 0)
    for (;;)
      pause();
  device->wake_end.close();
  for (int round = 0; round < 4; ++round) {
    arm(device);
    REQUIRE(pair.engine.send(0) == VDSET_OK);
    await_readable(descriptor);
    answer(device);
    reap(pair.engine);
  }
  CHECK(vdset::rescue_count(pair.agent.set->bridges) == 0);
  kill(static_cast<pid_t>(child), SIGKILL);
  waitpid(static_cast<pid_t>(child), nullptr, 0);
}

TEST_CASE("a forked child has none of the connections, and the parent's stay") {
  const Deadline deadline;
  Pair pair;
  pair.engine.descriptor();
  pair.agent.descriptor(0);
  await_connection(pair.agent.devices[0]);
  unit::Child child([&] {
    for (const std::string& entry : unit::entries_of("/proc/self/fd")) {
      char target[64] = {};
      const std::string path = "/proc/self/fd/" + entry;
      if (readlink(path.c_str(), target, sizeof target - 1) > 0 &&
          std::string(target).find("socket:") == 0)
        return 1;
    }
    return 0;
  });
  CHECK(child.exit_code() == 0);
  round_trip_without_bridge(pair);
}
