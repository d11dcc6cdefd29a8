// tests/descriptors/test_races.cpp: arm against send, many rounds. A lost wake would show as
// a rescue: the bridge found at the end of its slice what nobody had woken it for.
#include <atomic>
#include <random>
#include "abi/server.hpp"
#include "tests/descriptors/rig.hpp"

using namespace descriptors;
using vdset::unit::Deadline;

namespace {

// A slice may end in the very moment of a wake, on a busy machine more than once.
constexpr std::uint32_t coincidences_max = 3;

void expect_no_rescues(Pair& pair) {
  CHECK(vdset::rescue_count(pair.agent.set->bridges) <= coincidences_max);
  CHECK(vdset::rescue_count(pair.engine.server->bridges) <= coincidences_max);
}

int make_loop(bool edge, const std::vector<int>& descriptors) {
  const int loop = epoll_create1(EPOLL_CLOEXEC);
  REQUIRE(loop >= 0);
  for (std::size_t i = 0; i < descriptors.size(); ++i) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (edge) event.events |= EPOLLET;
    event.data.u32 = static_cast<std::uint32_t>(i);
    REQUIRE(epoll_ctl(loop, EPOLL_CTL_ADD, descriptors[i], &event) == 0);
  }
  return loop;
}

std::uint32_t next_event(int loop) {
  epoll_event event{};
  int got;
  do {
    got = epoll_wait(loop, &event, 1, -1);
  } while (got < 0 && errno == EINTR);
  REQUIRE(got == 1);
  return event.data.u32;
}

/// Fetches and completes until there is nothing, arms. False: the device is closed.
bool drain(vdset_device* device, std::uint64_t& bad, std::uint64_t& seen) {
  for (;;) {
    const vdset_command* command = nullptr;
    const std::int32_t result = vdset_device_get_command(device, 0, &command);
    if (result == VDSET_E_TIMEOUT) break;
    if (result != VDSET_OK) {
      bad += result == VDSET_E_CLOSE ? 0 : 1;
      return false;
    }
    ++seen;
    if (vdset_device_complete_command(device, command, VDSET_SUCCESS,
                                      static_cast<std::uint32_t>(command->size), 0) != VDSET_OK)
      ++bad;
  }
  if (vdset_device_arm(device) != VDSET_OK) ++bad;
  return true;
}

/// The agent as one thread with one epoll over all devices, until every device is closed.
void run_agent(Agent& agent, bool edge, std::uint64_t& bad, std::uint64_t& seen) {
  const auto count = static_cast<unsigned>(agent.devices.size());
  std::vector<int> descriptors;
  for (unsigned i = 0; i < count; ++i)
    descriptors.push_back(agent.descriptor(i));
  const int loop = make_loop(edge, descriptors);
  for (vdset_device* device : agent.devices)
    if (vdset_device_arm(device) != VDSET_OK) ++bad;
  unsigned open = count;
  while (open > 0) {
    const std::uint32_t i = next_event(loop);
    if (drain(agent.devices[i], bad, seen)) continue;
    --open;
    epoll_ctl(loop, EPOLL_CTL_DEL, descriptors[i], nullptr);
  }
  close(loop);
}

/// The engine as an event loop too: keeps `busy` devices of all in flight until `total` are done.
void run_engine(Engine& engine, bool edge, std::uint64_t total, std::uint64_t& bad) {
  const auto count = static_cast<unsigned>(engine.devices.size());
  const int loop = make_loop(edge, {engine.descriptor()});
  std::minstd_rand random(7);
  std::uint64_t done = 0, sent = 0;
  const auto send_some = [&](unsigned i) {
    if (sent == total) return;
    ++sent;
    if (engine.send(i) != VDSET_OK) ++bad;
  };
  for (unsigned i = 0; i < count; i += 1 + static_cast<unsigned>(random() % 3))
    send_some(i);
  while (done < total) {
    vdset_command* command = nullptr;
    const std::int32_t result = vdset_server_next_completion(engine.server, 0, &command);
    if (result == VDSET_OK) {
      ++done;
      send_some(static_cast<unsigned>(command - engine.commands.data()));
      continue;
    }
    if (result != VDSET_E_TIMEOUT || vdset_server_arm(engine.server) != VDSET_OK) {
      ++bad;
      break;
    }
    next_event(loop);
  }
  for (vdset_server_device* device : engine.devices)
    if (vdset_server_device_close(device) != VDSET_OK) ++bad;
  close(loop);
}

void run_both(bool edge, unsigned devices, std::uint64_t total) {
  Pair pair({devices, 0});
  std::uint64_t bad = 0, seen = 0, engine_bad = 0;
  std::thread engine([&] { run_engine(pair.engine, edge, total, engine_bad); });
  run_agent(pair.agent, edge, bad, seen);
  engine.join();
  CHECK(bad == 0);
  CHECK(engine_bad == 0);
  CHECK(seen == total);
  expect_no_rescues(pair);
  CHECK(pair.agent.close() == VDSET_OK);
}

}  // namespace

TEST_CASE("64 devices and both sides in epoll, level-triggered: every command arrives") {
  const Deadline deadline(1200);
  run_both(false, 64, rounds(20'000));
}

TEST_CASE("64 devices and both sides in epoll, edge-triggered: every command arrives") {
  const Deadline deadline(1200);
  run_both(true, 64, rounds(20'000));
}

TEST_CASE("one command at a time on one device: each arm races a send") {
  const Deadline deadline(1200);
  run_both(true, 1, rounds(10'000));
}

TEST_CASE("arm against a send at every distance") {
  const Deadline deadline(1200);
  Pair pair;
  vdset_device* const device = pair.agent.devices[0];
  const int descriptor = pair.agent.descriptor(0);
  const unsigned total = rounds(10'000);
  std::atomic<unsigned> turn{0};
  std::uint64_t engine_bad = 0;
  std::thread engine([&] {
    std::minstd_rand random(11);
    for (unsigned i = 0; i < total; ++i) {
      while (turn.load(std::memory_order_acquire) <= i)
        std::this_thread::yield();
      for (auto spin = random() % 400; spin > 0; --spin)
        vdset::port::cpu_relax();
      if (pair.engine.send(0) != VDSET_OK) ++engine_bad;
      vdset_command* done = nullptr;
      if (vdset_server_next_completion(pair.engine.server, brief_ns, &done) != VDSET_OK)
        ++engine_bad;
    }
  });
  std::minstd_rand random(13);
  std::uint64_t bad = 0, seen = 0;
  for (unsigned i = 0; i < total; ++i) {
    turn.store(i + 1, std::memory_order_release);
    for (auto spin = random() % 400; spin > 0; --spin)
      vdset::port::cpu_relax();
    while (seen <= i) {
      if (vdset_device_arm(device) != VDSET_OK) ++bad;
      pollfd p{descriptor, POLLIN, 0};
      while (poll(&p, 1, -1) < 0) {
      }
      drain(device, bad, seen);
    }
  }
  engine.join();
  CHECK(bad == 0);
  CHECK(engine_bad == 0);
  expect_no_rescues(pair);
}
