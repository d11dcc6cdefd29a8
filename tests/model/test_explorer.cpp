// tests/model/test_explorer.cpp: the explorer on programs whose outcomes are known: what C++20
// allows is found, what it forbids is not, hangs and races are told.
#include <doctest/doctest.h>
#include "tests/model/explorer.hpp"

namespace vdset::model {
namespace {

using A = ExplorerAtomics;

// Sites of each order; the table says which.
constexpr Site relaxed_store = Site::fields_write, relaxed_load = Site::fields_read;
constexpr Site release_store = Site::state_publish, acquire_load = Site::state_read;
constexpr Site seq_store = Site::post_sequence, seq_load = Site::ready_sequence;
constexpr Site release_fence = Site::post_fence, acquire_fence = Site::take_fence;
constexpr Site relaxed_rmw = Site::bell_bump;

constexpr Plan wide{{4, 4, 0}, {}, ~std::uint64_t{0}, 0};

/// Two threads, two words, what each read; whether `forbidden` ever holds is the question.
struct Litmus {
  Word x{0}, y{0};
  std::uint32_t first = 9, second = 9;
};

template <class Body1, class Body2, class Forbidden>
struct Program {
  Litmus l;
  void start() {
    Explorer::current().spawn("one", Fate::immortal, [this] { Body1()(l); });
    Explorer::current().spawn("two", Fate::immortal, [this] { Body2()(l); });
  }
  void check() { Explorer::current().require(!Forbidden()(l), "seen"); }
};

/// Whether an execution of the program ends as `forbidden` says.
template <class Body1, class Body2, class Forbidden>
bool is_seen(Body1, Body2, Forbidden) {
  const Report report = explore<Program<Body1, Body2, Forbidden>>(wide);
  CHECK((report.failed || report.exhaustive));
  return report.failed;
}

TEST_CASE("store buffering: both may read old, unless all four are sequentially consistent") {
  const auto both_old = [](const Litmus& l) { return l.first == 0 && l.second == 0; };
  CHECK(is_seen(
      [](Litmus& l) {
        A::store<release_store>(l.x, 1);
        l.first = A::load<acquire_load>(l.y);
      },
      [](Litmus& l) {
        A::store<release_store>(l.y, 1);
        l.second = A::load<acquire_load>(l.x);
      },
      both_old));
  CHECK_FALSE(is_seen(
      [](Litmus& l) {
        A::store<seq_store>(l.x, 1);
        l.first = A::load<seq_load>(l.y);
      },
      [](Litmus& l) {
        A::store<seq_store>(l.y, 1);
        l.second = A::load<seq_load>(l.x);
      },
      both_old));
  CHECK(is_seen(
      [](Litmus& l) {
        A::store<seq_store>(l.x, 1);
        l.first = A::load<acquire_load>(l.y);
      },
      [](Litmus& l) {
        A::store<seq_store>(l.y, 1);
        l.second = A::load<seq_load>(l.x);
      },
      both_old));
}

TEST_CASE("message passing: the flag carries the data if it releases and is acquired") {
  const auto old_data = [](const Litmus& l) { return l.first == 1 && l.second == 0; };
  const auto writer = [](Litmus& l) {
    A::store<relaxed_store>(l.x, 1);
    A::store<release_store>(l.y, 1);
  };
  CHECK_FALSE(is_seen(
      writer,
      [](Litmus& l) {
        l.first = A::load<acquire_load>(l.y);
        l.second = A::load<relaxed_load>(l.x);
      },
      old_data));
  CHECK(is_seen(
      writer,
      [](Litmus& l) {
        l.first = A::load<relaxed_load>(l.y);
        l.second = A::load<relaxed_load>(l.x);
      },
      old_data));
  CHECK(is_seen(
      [](Litmus& l) {
        A::store<relaxed_store>(l.x, 1);
        A::store<relaxed_store>(l.y, 1);
      },
      [](Litmus& l) {
        l.first = A::load<acquire_load>(l.y);
        l.second = A::load<relaxed_load>(l.x);
      },
      old_data));
}

TEST_CASE("message passing by fences, and through another thread's exchange") {
  const auto old_data = [](const Litmus& l) { return l.first == 1 && l.second == 0; };
  CHECK_FALSE(is_seen(
      [](Litmus& l) {
        A::store<relaxed_store>(l.x, 1);
        A::fence<release_fence>();
        A::store<relaxed_store>(l.y, 1);
      },
      [](Litmus& l) {
        l.first = A::load<relaxed_load>(l.y);
        A::fence<acquire_fence>();
        l.second = A::load<relaxed_load>(l.x);
      },
      old_data));
  CHECK(is_seen(
      [](Litmus& l) {
        A::store<relaxed_store>(l.x, 1);
        A::fence<release_fence>();
        A::store<relaxed_store>(l.y, 1);
      },
      [](Litmus& l) {
        l.first = A::load<relaxed_load>(l.y);
        l.second = A::load<relaxed_load>(l.x);
      },
      old_data));
  // A release sequence: a relaxed RMW of the flag passes the release on.
  CHECK_FALSE(is_seen(
      [](Litmus& l) {
        A::store<relaxed_store>(l.x, 1);
        A::store<release_store>(l.y, 1);
        A::fetch_add<relaxed_rmw>(l.y, 1);
      },
      [](Litmus& l) {
        l.first = A::load<acquire_load>(l.y) == 2 ? 1 : 0;
        l.second = A::load<relaxed_load>(l.x);
      },
      old_data));
}

TEST_CASE("one location: reads do not go back, exchanges lose nothing, stores may land before") {
  CHECK_FALSE(is_seen(
      [](Litmus& l) {
        A::store<relaxed_store>(l.x, 1);
        A::store<relaxed_store>(l.x, 2);
      },
      [](Litmus& l) {
        l.first = A::load<relaxed_load>(l.x);
        l.second = A::load<relaxed_load>(l.x);
      },
      [](const Litmus& l) { return l.first != 9 && l.second < l.first; }));
  CHECK_FALSE(is_seen([](Litmus& l) { A::fetch_add<relaxed_rmw>(l.x, 1); },
                      [](Litmus& l) { A::fetch_add<relaxed_rmw>(l.x, 1); },
                      [](const Litmus& l) { return Explorer::current().newest(l.x) != 2; }));
  // 2+2W: each thread's first store may be the last of its location.
  CHECK(is_seen(
      [](Litmus& l) {
        A::store<relaxed_store>(l.x, 1);
        A::store<relaxed_store>(l.y, 2);
      },
      [](Litmus& l) {
        A::store<relaxed_store>(l.y, 1);
        A::store<relaxed_store>(l.x, 2);
      },
      [](const Litmus& l) {
        return Explorer::current().newest(l.x) == 1 && Explorer::current().newest(l.y) == 1;
      }));
}

/// A lost wake: the waker changes the word, or only wakes.
template <bool changes>
struct SleepProgram {
  Word word{0};
  void start() {
    Explorer::current().spawn("sleeper", Fate::immortal,
                              [this] { Explorer::current().futex_wait(word, 0); });
    Explorer::current().spawn("waker", Fate::immortal, [this] {
      if (changes) A::fetch_add<relaxed_rmw>(word, 1);
      Explorer::current().futex_wake(word);
    });
  }
  void check() {}
};

TEST_CASE("a futex compares the newest value: a wake is lost only if the word stays as it was") {
  CHECK_FALSE(explore<SleepProgram<true>>(wide).failed);
  const Report report = explore<SleepProgram<false>>(wide);
  CHECK(report.failed);
  CHECK(report.why == "deadlock: sleeper (asleep)");
}

/// Data handed over by a mutex, or by nothing.
template <bool locked>
struct DataProgram {
  Mutex mutex;
  Payload data;
  void touch() {
    if (locked) mutex.lock();
    data.write(1);
    if (locked) mutex.unlock();
  }
  void start() {
    Explorer::current().spawn("one", Fate::immortal, [this] { touch(); });
    Explorer::current().spawn("two", Fate::immortal, [this] { touch(); });
  }
  void check() {}
};

TEST_CASE("data that nothing orders is a race, whatever the schedule") {
  CHECK_FALSE(explore<DataProgram<true>>(wide).failed);
  Plan narrow = wide;
  narrow.bounds = {0, 0, 0};
  const Report report = explore<DataProgram<false>>(narrow);
  CHECK(report.failed);
  CHECK(report.why == "data race: write after write");
}

/// Counts the deaths at each step: before either store, and none.
struct MortalProgram {
  Word word{0};
  ThreadId mortal = 0;
  inline static std::uint32_t ends[3];
  void start() {
    mortal = Explorer::current().spawn("mortal", Fate::mortal, [this] {
      A::store<relaxed_store>(word, 1);
      A::store<relaxed_store>(word, 2);
    });
  }
  void check() { ++ends[Explorer::current().newest(word)]; }
};

TEST_CASE("a mortal thread dies before each step, once in an execution") {
  MortalProgram::ends[0] = MortalProgram::ends[1] = MortalProgram::ends[2] = 0;
  Plan plan = wide;
  plan.bounds = {0, 0, 1};
  const Report report = explore<MortalProgram>(plan);
  CHECK(report.exhaustive);
  CHECK(report.executions == 3);
  CHECK(report.with_deaths == 2);
  for (const std::uint32_t ends : MortalProgram::ends) CHECK(ends == 1);
}

struct BrokenContract {
  void start() {
    Explorer::current().spawn("one", Fate::immortal, [] { std::terminate(); });
  }
  void check() {}
};

TEST_CASE("a violated contract of core is a failed execution") {
  CHECK(explore<BrokenContract>(wide).failed);
}

TEST_CASE("a random failure is found again from its seed, and is traced") {
  Plan plan = wide;
  plan.seed = 7;
  plan.executions_max = 1000;
  const Report found = explore<SleepProgram<false>>(plan);
  REQUIRE(found.failed);
  plan.seed = found.seed;
  plan.executions_max = 1;
  const Report again = explore<SleepProgram<false>>(plan);
  CHECK(again.failed);
  CHECK(again.trace == found.trace);
  CHECK(again.trace.find("sleeper") != std::string::npos);
}

}  // namespace
}  // namespace vdset::model
