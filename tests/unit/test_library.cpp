// tests/unit/test_library.cpp
// Goal: one library thread while a role needs it, none after; it delivers what is watched, ticks at
// deadlines, and leaves neither thread nor descriptor nor mapping behind.
// Method: roles of our own; /proc/self counted before and after.
#include "abi/library.hpp"
#include <cerrno>
#include <cstddef>
#include <memory>
#include "tests/unit/system.hpp"

using namespace vdset;
using namespace vdset::unit;

namespace {

/// A role that notes what the thread tells it.
struct Noted : Role {
  std::atomic<int> readies{0}, ticks{0};
  std::atomic<std::uint32_t> last_tag{0};
  std::atomic<bool> all_blocked{true}, under_lock{true};
  int drained = -1;  // Read empty when it is ready.
  Signpost told;

  explicit Noted(bool thread) {
    needs_thread = thread;
    ready = [](Role& role, std::uint32_t tag) { static_cast<Noted&>(role).on_ready(tag); };
    tick = [](Role& role, std::int64_t) { static_cast<Noted&>(role).on_tick(); };
    forked = [](Role&) {};
  }
  void on_ready(std::uint32_t tag) {
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    for (int signal : {SIGINT, SIGTERM, SIGUSR1, SIGALRM, SIGCHLD, SIGPIPE})
      if (sigismember(&blocked, signal) != 1) all_blocked = false;
    if (port::mutex_try_lock(library::lock())) {
      under_lock = false;
      port::mutex_unlock(library::lock());
    }
    last_tag = tag;
    char bytes[64];
    if (drained >= 0 && read(drained, bytes, sizeof bytes) < 0) drained = -1;
    ++readies;
    told.post();
  }
  void on_tick() {
    deadline_ns = port::never;
    ++ticks;
    told.post();
  }
};

/// What the process holds, and whether it came back to that.
struct Counts {
  std::size_t threads = thread_count(), descriptors = descriptor_count();

  bool again() const {
    await_threads(threads);
    return descriptor_count() == descriptors;
  }
};

int watch_locked(Role& role, int descriptor, std::uint32_t tag, bool hangup_only = false) {
  const port::Locked guard(library::lock());
  return library::watch(role, descriptor, tag, hangup_only);
}
void unwatch_locked(int& watch) {
  const port::Locked guard(library::lock());
  library::unwatch(watch);
}

}  // namespace

TEST_CASE("a role that needs the thread has it from enter to leave, two hundred times") {
  Deadline guard;
  const Counts before;
  for (int i = 0; i < 200; ++i) {
    Noted role(true);
    const Counts inside;
    REQUIRE(library::enter(role) == 0);
    CHECK(library::thread_id() != 0);
    CHECK(thread_count() == inside.threads + 1);
    library::leave(role);
    CHECK(library::thread_id() == 0);
    CHECK(inside.again());
  }
  CHECK(before.again());
}

TEST_CASE("a role that does not need the thread starts none") {
  Deadline guard;
  const Counts before;
  Noted role(false);
  const Counts inside;
  REQUIRE(library::enter(role) == 0);
  CHECK(inside.again());
  CHECK(library::thread_id() == 0);
  library::nudge();
  library::leave(role);
  CHECK(inside.again());
}

TEST_CASE("all roles share one thread, and it ends with the last that needs it") {
  Deadline guard;
  std::vector<std::unique_ptr<Noted>> roles;
  for (int i = 0; i < 20; ++i)
    roles.push_back(std::make_unique<Noted>(i % 3 != 0));
  const Counts before;
  for (auto& role : roles)
    REQUIRE(library::enter(*role) == 0);
  CHECK(thread_count() == before.threads + 1);
  for (std::size_t i = 19; i > 1; --i)
    library::leave(*roles[i]);
  CHECK(thread_count() == before.threads + 1);
  library::leave(*roles[1]);
  await_threads(before.threads);
  library::leave(*roles[0]);
  CHECK(before.again());
}

TEST_CASE("what is watched is told, under the lock, by a thread with all signals blocked") {
  Deadline guard;
  Noted role(true);
  REQUIRE(library::enter(role) == 0);
  int pipe_ends[2];
  REQUIRE(pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK) == 0);
  role.drained = pipe_ends[0];
  int watch = watch_locked(role, pipe_ends[0], 4711);
  REQUIRE(watch >= 0);
  for (int i = 0; i < 10; ++i) {
    REQUIRE(write(pipe_ends[1], "x", 1) == 1);
    REQUIRE(role.told.await());
  }
  CHECK(role.readies >= 10);
  CHECK(role.last_tag == 4711);
  CHECK(role.all_blocked);
  CHECK(role.under_lock);
  unwatch_locked(watch);
  CHECK(watch == -1);
  unwatch_locked(watch);
  const int told = role.readies;
  REQUIRE(write(pipe_ends[1], "x", 1) == 1);
  role.attention = true;  // A tick that comes after: the thread had its turn.
  library::nudge();
  while (role.ticks == 0)
    REQUIRE(role.told.await());
  CHECK(role.readies == told);
  library::leave(role);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

TEST_CASE("watched for the hang-up only, data is not told and the hang-up is") {
  Deadline guard;
  Noted role(true);
  REQUIRE(library::enter(role) == 0);
  int ends[2];
  REQUIRE(port::socket_make_pair(ends) == 0);
  int watch = watch_locked(role, ends[0], 7, true);
  REQUIRE(write(ends[1], "x", 1) == 1);
  role.attention = true;
  library::nudge();
  REQUIRE(role.told.await());
  CHECK(role.ticks == 1);
  CHECK(role.readies == 0);
  close(ends[1]);
  REQUIRE(role.told.await());
  CHECK(role.readies >= 1);
  unwatch_locked(watch);
  library::leave(role);
  close(ends[0]);
}

TEST_CASE("hundreds of watches at once are told apart, and their numbers are used again") {
  Deadline guard;
  constexpr std::uint32_t count = 300;
  const Counts before;
  {
    Noted role(true);
    REQUIRE(library::enter(role) == 0);
    std::vector<int> watches;
    std::vector<std::unique_ptr<Signpost>> posts;
    for (std::uint32_t i = 0; i < count; ++i) {
      posts.push_back(std::make_unique<Signpost>());
      watches.push_back(watch_locked(role, posts[i]->ends[0], i));
      REQUIRE(watches[i] >= 0);
    }
    for (std::uint32_t i : {0u, 63u, 64u, 65u, 128u, 299u}) {
      role.drained = posts[i]->ends[0];
      posts[i]->post();
      REQUIRE(role.told.await());
      CHECK(role.last_tag == i);
    }
    const int freed = watches[100];
    unwatch_locked(watches[100]);
    watches[100] = watch_locked(role, posts[100]->ends[0], 9999);
    CHECK(watches[100] == freed);
    role.drained = posts[100]->ends[0];
    posts[100]->post();
    REQUIRE(role.told.await());
    CHECK(role.last_tag == 9999);
    for (int& watch : watches)
      unwatch_locked(watch);
    library::leave(role);
  }
  CHECK(before.again());
}

TEST_CASE("a role's deadline is told, the roles without one are left alone") {
  Deadline guard;
  Noted role(true), other(true);
  role.deadline_ns = port::now_ns() + 1'000'000;
  REQUIRE(library::enter(other) == 0);
  REQUIRE(library::enter(role) == 0);
  library::nudge();
  REQUIRE(role.told.await());
  CHECK(role.ticks == 1);
  CHECK(other.ticks == 0);
  library::leave(role);
  library::leave(other);
}

TEST_CASE("a descriptor that cannot be watched is an error, and nothing is left") {
  Noted role(true);
  REQUIRE(library::enter(role) == 0);
  CHECK(watch_locked(role, -1, 1) < 0);
  const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);  // Files cannot be polled.
  CHECK(watch_locked(role, file, 1) == -EPERM);
  close(file);
  library::leave(role);
}

TEST_CASE("in a forked child every role is told, and the thread's descriptors are closed") {
  Deadline guard;
  static std::atomic<int> told;
  told = 0;
  const Counts before;
  {
    Noted one(true), two(false);
    one.forked = two.forked = [](Role&) { ++told; };
    const std::size_t plain = descriptor_count();
    REQUIRE(library::enter(one) == 0);
    REQUIRE(library::enter(two) == 0);
    Child child([plain] {
      if (told != 2) return 1;
      if (descriptor_count() != plain) return 2;
      if (library::thread_id() != 0) return 3;
      if (thread_count() != 1) return 4;
      Noted own(true);  // The child may open roles of its own.
      if (library::enter(own) != 0) return 5;
      if (thread_count() != 2) return 6;
      own.attention = true;
      library::nudge();
      if (!own.told.await()) return 7;
      library::leave(own);
      await_threads(1);
      return 0;
    });
    CHECK(child.exit_code() == 0);
    CHECK(told == 0);
    one.attention = true;  // The parent's thread goes on.
    library::nudge();
    REQUIRE(one.told.await());
    library::leave(one);
    library::leave(two);
  }
  CHECK(before.again());
}
