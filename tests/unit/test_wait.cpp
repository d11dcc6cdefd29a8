// tests/unit/test_wait.cpp
// Goal: waits end when they should: at an absolute deadline, whatever signals come; when the word
// changes; when the peer dies; and never because a signal did.
// Method: signals sent without pause until the wait is over, so that a wait that began anew at each
// would never end; threads known to be asleep before they are woken. No time is asserted.
#include "abi/visits.hpp"
#include "abi/wait.hpp"
#include <cerrno>
#include <pthread.h>
#include "tests/unit/system.hpp"

using namespace vdset;
using namespace vdset::unit;

namespace {

constexpr std::int64_t moment_ns = 30'000'000;
std::atomic<unsigned> signals_seen;

/// A handler that does not restart calls, for the life of the object.
struct Interrupting {
  struct sigaction before {};
  Interrupting() {
    signals_seen = 0;
    struct sigaction action {};
    action.sa_handler = [](int) { ++signals_seen; };
    sigaction(SIGUSR1, &action, &before);
  }
  ~Interrupting() { sigaction(SIGUSR1, &before, nullptr); }
};

/// Runs `wait` in a thread and sends it signals until it is over.
template <class Wait>
void under_signals(Wait wait) {
  const Interrupting handler;
  std::atomic<bool> over{false};
  std::atomic<bool> begun{false};
  std::thread thread([&] {
    begun = true;
    wait();
    over = true;
  });
  while (!begun)
    sched_yield();
  while (!over) {
    pthread_kill(thread.native_handle(), SIGUSR1);
    sched_yield();
  }
  thread.join();
}

/// A thread that is asleep when the constructor returns.
template <class Sleep>
class Asleep {
 public:
  explicit Asleep(Sleep sleep)
      : thread_([this, sleep] {
          id_ = static_cast<pid_t>(port::thread_id());
          sleep();
        }) {
    while (id_ == 0)
      sched_yield();
    await_sleep(getpid(), id_);
  }
  std::thread& thread() { return thread_; }

 private:
  std::atomic<pid_t> id_{0};
  std::thread thread_;
};

}  // namespace

TEST_CASE("a deadline is absolute and saturates; a negative timeout is never") {
  CHECK(port::deadline_after(-1) == port::never);
  CHECK(port::deadline_after(INT64_MIN) == port::never);
  CHECK(port::deadline_after(INT64_MAX) == port::never);
  CHECK(port::deadline_after(INT64_MAX - 1) == port::never);
  const std::int64_t before = port::now_ns();
  const std::int64_t at = port::deadline_after(1000);
  CHECK(at >= before + 1000);
  CHECK(at <= port::now_ns() + 1000);
}

TEST_CASE("a word that has another value, or a deadline that has passed, does not sleep") {
  Deadline guard;
  const core::Word word{5}, alive{7};
  CHECK(port::wait_word(word, 4, nullptr, 0, port::never) == port::Woken::maybe);
  CHECK(port::wait_word(word, 5, nullptr, 0, 0) == port::Woken::timed_out);
  CHECK(port::wait_word(word, 5, nullptr, 0, port::now_ns()) == port::Woken::timed_out);
  if (!port::has_wait_many()) return;
  CHECK(port::wait_word(word, 5, &alive, 6, port::never) == port::Woken::maybe);
  CHECK(port::wait_word(word, 4, &alive, 7, port::never) == port::Woken::maybe);
  CHECK(port::wait_word(word, 5, &alive, 7, 0) == port::Woken::timed_out);
}

TEST_CASE("a wait that times out has reached its deadline, with one word and with two") {
  Deadline guard;
  const core::Word word{5}, alive{7};
  for (const core::Word* other : {static_cast<const core::Word*>(nullptr), &alive}) {
    const std::int64_t deadline = port::deadline_after(moment_ns);
    while (port::wait_word(word, 5, other, 7, deadline) != port::Woken::timed_out) {
    }
    CHECK(port::now_ns() >= deadline);
  }
}

TEST_CASE("signals do not move the deadline of a word") {
  Deadline guard;
  const core::Word word{5};
  std::int64_t deadline = 0, ended = 0;
  under_signals([&] {
    deadline = port::deadline_after(moment_ns);
    while (port::wait_word(word, 5, nullptr, 0, deadline) != port::Woken::timed_out) {
    }
    ended = port::now_ns();
  });
  CHECK(ended >= deadline);
  CHECK(signals_seen > 0);
}

TEST_CASE("a wake reaches every sleeper of a word, in two mappings") {
  Deadline guard;
  int part = port::memory_create(65536);
  port::Mapping one, two;
  REQUIRE(port::memory_map(part, 65536, true, one) == 0);
  REQUIRE(port::memory_map(part, 65536, false, two) == 0);
  auto& word = *reinterpret_cast<core::Word*>(one.base);
  const auto& view = *reinterpret_cast<const core::Word*>(two.base);
  const auto wait = [](const core::Word& at) {
    while (__atomic_load_n(&at.value, __ATOMIC_ACQUIRE) == 0)
      port::wait_word(at, 0, nullptr, 0, port::never);
  };
  Asleep first([&] { wait(word); });
  Asleep second([&] { wait(view); });
  __atomic_store_n(&word.value, 1, __ATOMIC_RELEASE);
  port::wake_word(word);
  first.thread().join();
  second.thread().join();
  port::memory_unmap(one);
  port::memory_unmap(two);
  port::close_descriptor(part);
}

TEST_CASE("readability: now, at the deadline, and under signals only when it is so") {
  Deadline guard;
  Signpost post;
  CHECK(port::wait_readable(post.ends[0], 0) == 0);
  const std::int64_t deadline = port::deadline_after(moment_ns);
  CHECK(port::wait_readable(post.ends[0], deadline) == 0);
  CHECK(port::now_ns() >= deadline);
  int result = -1;
  std::int64_t end = 0;
  under_signals([&] {
    end = port::deadline_after(moment_ns);
    result = port::wait_readable(post.ends[0], end);
  });
  CHECK(result == 0);
  CHECK(port::now_ns() >= end);
  Asleep reader([&] { result = port::wait_readable(post.ends[0], port::never); });
  post.post();
  reader.thread().join();
  CHECK(result == 1);
}

// ---- abi/wait.hpp -----------------------------------------------------------------------------

TEST_CASE("a bell's waiter that finds its condition true neither sleeps nor stays armed") {
  core::Word bell{0x40};
  SpinBudget spin;
  CHECK(wait_on_bell(bell, nullptr, port::never, spin, [] { return true; }));
  CHECK((bell.value & core::event_armed) == 0);
}

TEST_CASE("a bell's waiter ends at the deadline, says so, and is no longer armed") {
  Deadline guard;
  core::Word bell{0x40};
  SpinBudget spin;
  const std::int64_t deadline = port::deadline_after(moment_ns);
  CHECK_FALSE(wait_on_bell(bell, nullptr, deadline, spin, [] { return false; }));
  CHECK(port::now_ns() >= deadline);
  CHECK(bell.value == 0x40);
  CHECK_FALSE(wait_on_bell(bell, nullptr, 0, spin, [] { return false; }));
}

TEST_CASE("a bell's waiter sleeps through signals until it is rung") {
  Deadline guard;
  core::Word bell{0};
  SpinBudget spin;
  std::atomic<bool> condition{false};
  bool result = false;
  std::thread ringer;
  under_signals([&] {
    ringer = std::thread([&] {
      while (signals_seen < 50)
        sched_yield();
      condition = true;
      if (core::ring_bell(atomics, bell)) port::wake_word(bell);
    });
    result = wait_on_bell(bell, nullptr, port::never, spin, [&] { return condition.load(); });
  });
  ringer.join();
  CHECK(result);
  CHECK(signals_seen >= 50);
}

TEST_CASE("two threads ring each other a thousand times, and each waits asleep for the other") {
  Deadline guard(60);  // A ring that is lost costs a slice: a thousand do not fit.
  constexpr std::uint32_t rounds = 1000;
  core::Word bells[2] = {};
  std::atomic<std::uint32_t> rung[2] = {0, 0};
  const auto ring = [&](int whom, std::uint32_t n) {
    rung[whom] = n;
    if (core::ring_bell(atomics, bells[whom])) port::wake_word(bells[whom]);
  };
  const auto hear = [&](int me, std::uint32_t n, SpinBudget& spin) {
    return wait_on_bell(bells[me], nullptr, port::never, spin, [&] { return rung[me] >= n; });
  };
  std::thread other([&] {
    SpinBudget spin;
    for (std::uint32_t n = 1; n <= rounds; ++n) {
      hear(1, n, spin);
      ring(0, n);
    }
  });
  SpinBudget spin;
  std::uint32_t heard = 0;
  for (std::uint32_t n = 1; n <= rounds; ++n) {
    ring(1, n);
    heard += hear(0, n, spin) ? 1 : 0;
  }
  other.join();
  CHECK(heard == rounds);
}

TEST_CASE("a peer that is dead already ends every sleep at once") {
  Deadline guard;
  core::Word bell{0};
  const core::Word alive{port::owner_died | 4711};
  SpinBudget spin;
  sleep_slice(bell, 0, &alive, port::never);
  int looked = 0;
  CHECK(wait_on_bell(bell, &alive, port::never, spin, [&] { return ++looked > 100; }));
  CHECK(is_dead(&alive));
  CHECK_FALSE(is_dead(nullptr));
  const core::Word other{port::has_waiters | 4711};
  CHECK_FALSE(is_dead(&other));
}

TEST_CASE("a sleep is cut into slices, the last one ends at the deadline") {
  CHECK(slice_end(0) == 0);
  const std::int64_t before = port::now_ns();
  const std::int64_t end = slice_end(port::never);
  CHECK(end >= before + slice_ns);
  CHECK(end <= port::now_ns() + slice_ns);
}

TEST_CASE("a waiter spins until twice in vain, then tries again rarer and rarer") {
  SpinBudget spin;
  spin.hit();
  for (int i = 0; i < 10; ++i) {
    CHECK(spin.next_ns() == spin_ns);
    spin.miss();
    CHECK(spin.next_ns() == spin_ns);
    spin.hit();
  }
  spin.slept_out();
  CHECK(spin.next_ns() == 0);
  CHECK(spin.next_ns() == spin_ns);
  spin.miss();
  spin.miss();
  // Between two probes twice as many waits as before, up to the last interval.
  const auto waits_to_probe = [&] {
    unsigned waits = 1;
    for (; spin.next_ns() == 0; ++waits)
      CHECK(waits < probe_last);
    spin.miss();
    return waits;
  };
  for (unsigned expected = probe_first; expected < probe_last; expected *= 2)
    CHECK(waits_to_probe() == expected);
  CHECK(waits_to_probe() == probe_last);
  CHECK(waits_to_probe() == probe_last);
  spin.hit();
  spin.miss();
  spin.miss();
  CHECK(waits_to_probe() == probe_first);
}

TEST_CASE("while anybody is inside it is visited, and the last to leave wakes who waits for that") {
  Deadline guard;
  Visits visits;
  CHECK_FALSE(visits.is_visited());
  {
    const Visit none(nullptr);
    CHECK_FALSE(visits.is_visited());
    const Visit outer(&visits);
    CHECK(visits.is_visited());
    std::atomic<bool> in{false}, go{false};
    std::thread other([&] {
      const Visit inner(&visits), third(&visits);
      in = true;
      while (!go)
        sched_yield();
    });
    while (!in)
      sched_yield();
    go = true;
    other.join();
    CHECK(visits.is_visited());
  }
  CHECK_FALSE(visits.is_visited());
}

TEST_CASE("who waits for the visits to end is told by the last, whichever it is") {
  Deadline guard;
  for (int last = 0; last < 3; ++last) {
    Visits visits;
    const bool alone = visits.enter();
    CHECK(alone);
    const bool second = visits.enter();
    CHECK_FALSE(second);
    CHECK(visits.take_turn());
    const auto leave = [&](int which) {
      if (which == 0) visits.leave(alone);
      if (which == 1) visits.leave(second);
      if (which == 2) visits.end_turn();
    };
    std::atomic<unsigned> wakes{0};
    std::atomic<bool> drained{false};
    Asleep closer([&] {
      visits.drain([&] { ++wakes; });
      drained = true;
    });
    leave((last + 1) % 3);
    leave((last + 2) % 3);
    CHECK_FALSE(drained.load());
    leave(last);
    closer.thread().join();
    CHECK(wakes.load() >= 1);
    CHECK_FALSE(visits.is_visited());
  }
}

TEST_CASE("who waits for the last visit seldom just misses it") {
  const Deadline guard(60);
  const unsigned rounds = port::processor_count() > 1 ? 20'000 : 200;
  unsigned again = 0;
  Visits visits;
  std::atomic<unsigned> due{0}, inside{0};
  std::thread visitor([&] {
    for (unsigned i = 1; i <= rounds; ++i) {
      while (due < i)
        sched_yield();
      const Turn turn(&visits);
      inside = i;
      for (unsigned n = i % 64; n > 0; --n)
        port::cpu_relax();
    }
  });
  for (unsigned i = 1; i <= rounds; ++i) {
    due = again < 100 ? i : rounds;
    while (inside < i)
      sched_yield();
    unsigned looks = 0;
    visits.drain([&] { ++looks; });
    again += looks > 1;
  }
  visitor.join();
  MESSAGE(again << " of " << rounds << " waits looked again");
  CHECK(again < 100);
}

TEST_CASE("a turn is one thread's at a time, and a visit") {
  Visits visits;
  {
    const Turn first(&visits);
    CHECK(first.mine());
    CHECK(visits.is_visited());
    CHECK_FALSE(Turn(&visits).mine());
    CHECK_FALSE(Turn(&visits).mine());
    CHECK_FALSE(Turn(nullptr).mine());
  }
  CHECK_FALSE(visits.is_visited());
  CHECK(Turn(&visits).mine());
  CHECK(Turn(&visits).mine());
}

TEST_CASE("one thread at a time has a lock, and none waits for good") {
  Deadline guard;
  constexpr int threads = 4, rounds = 20'000;
  port::Mutex lock;
  unsigned inside = 0, entered = 0;
  bool alone = true;
  std::vector<std::thread> all;
  for (int i = 0; i < threads; ++i)
    all.emplace_back([&] {
      for (int n = 0; n < rounds; ++n) {
        const port::Locked mine(lock);
        alone = alone && ++inside == 1;
        ++entered;
        if (n % 1024 == 0) sched_yield();  // Others come to sleep for it.
        --inside;
      }
    });
  for (std::thread& each : all)
    each.join();
  CHECK(alone);
  CHECK(entered == threads * rounds);
  REQUIRE(port::mutex_try_lock(lock));
  CHECK_FALSE(port::mutex_try_lock(lock));
  port::mutex_unlock(lock);
  CHECK(lock.word == 0);
}
