// tests/unit/test_life.cpp: abi/port: how far another process is, as /proc and its pidfd tell.
#include <pthread.h>
#include "abi/port/port.hpp"
#include "tests/unit/system.hpp"

using namespace vdset;
using namespace vdset::unit;
using port::Life;

namespace {

/// A child that lives until it is killed, and its pidfd.
struct Watched {
  explicit Watched(const std::function<int()>& live) : child(live) {
    pidfd = static_cast<int>(syscall(SYS_pidfd_open, child.pid(), 0));
    REQUIRE(pidfd >= 0);
  }
  ~Watched() { close(pidfd); }
  std::string state_of_first_thread() const {
    std::ifstream stat("/proc/" + std::to_string(child.pid()) + "/stat");
    std::string number, name, state;
    stat >> number >> name >> state;
    return state;
  }

  Child child;
  int pidfd;
};

int wait_for_ever() {
  for (;;)
    pause();
}

int end_first_thread() {
  pthread_t other;
  pthread_create(
      &other, nullptr,
      [](void*) -> void* {
        wait_for_ever();
        return nullptr;
      },
      nullptr);
  syscall(SYS_exit, 0);  // Not pthread_exit, which unwinds into the test.
  return 0;
}

}  // namespace

TEST_CASE(
    "a process is alive until it is killed, and has ended before and after it is waited for") {
  const Deadline deadline;
  Watched one(wait_for_ever);
  CHECK(port::life_of(one.pidfd) == Life::alive);
  kill(one.child.pid(), SIGSTOP);
  CHECK(port::life_of(one.pidfd) == Life::alive);
  kill(one.child.pid(), SIGKILL);
  CHECK(port::wait_readable(one.pidfd, port::never) == 1);
  CHECK(port::life_of(one.pidfd) == Life::ended);
  one.child.wait();
  CHECK(port::life_of(one.pidfd) == Life::ended);
}

TEST_CASE("a process whose first thread has ended is alive as long as another goes on") {
  const Deadline deadline;
  Watched one(end_first_thread);
  while (one.state_of_first_thread() != "Z")
    sched_yield();
  CHECK(port::life_of(one.pidfd) == Life::alive);
}

TEST_CASE("of what is no pidfd nothing is known, and a look leaves no descriptor behind") {
  const std::size_t before = descriptor_count();
  CHECK(port::life_of(-1) == Life::unknown);
  Watched one(end_first_thread);
  for (int i = 0; i < 100; ++i)
    CHECK(port::life_of(one.pidfd) != Life::ended);
  CHECK(descriptor_count() == before + 1);
}
