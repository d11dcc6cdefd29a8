// tests/unit/test_alive.cpp
// Goal: when the thread behind an alive word ends, for whatever reason, the kernel marks the word
// and wakes who sleeps on it; a word that was taken off the list is left alone.
// Method: children with a thread like the library's; this process has the page mapped read-only, as
// a client has part S, and sleeps on the word before the thread ends.
#include <cerrno>
#include "abi/port/port.hpp"
#include "abi/wait.hpp"
#include "tests/support/skip.hpp"
#include "tests/unit/system.hpp"

using namespace vdset;
using namespace vdset::unit;

namespace {

constexpr std::uint32_t stride = 16;  // docs/format.md, "Alive words".

/// Pages of words: a memory file, mapped read-only here.
struct Page {
  int descriptor;
  port::Mapping view;

  explicit Page(std::size_t pages = 1) : descriptor(port::memory_create(pages * bytes())) {
    REQUIRE(descriptor >= 0);
    REQUIRE(port::memory_map(descriptor, pages * bytes(), false, view) == 0);
  }
  ~Page() {
    port::memory_unmap(view);
    port::close_descriptor(descriptor);
  }
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;
  static std::size_t bytes() { return port::page_bytes(); }
  const core::Word& word(std::uint32_t i) const {
    return *reinterpret_cast<const core::Word*>(view.base + i * stride);
  }
  std::uint32_t value(std::uint32_t i) const {
    return __atomic_load_n(&word(i).value, __ATOMIC_ACQUIRE);
  }
  bool is_marked(std::uint32_t i) const { return (value(i) & port::owner_died) != 0; }
  /// The kernel marks word after word: returns when it has come to this one.
  void await_mark(std::uint32_t i) const {
    while (!is_marked(i))
      sched_yield();
  }
};

/// In the child: maps the page for writing and stores who watches the word.
void claim(int descriptor, std::uint32_t i) {
  static port::Mapping own;
  if (own.base == nullptr && port::memory_map(descriptor, Page::bytes(), true, own) != 0) abort();
  auto* const word = reinterpret_cast<std::uint32_t*>(own.base + i * stride);
  __atomic_store_n(word, port::thread_id() | port::has_waiters, __ATOMIC_RELEASE);
}

enum class End { killed, thread_exits, process_exits, executes };

/// A child whose library-like thread enlists words 1, 5 and 254, and ends in a given way when told.
class Owner {
 public:
  Owner(const Page& page, End end) : page_(page), end_(end), child_([this] { return live(); }) {
    REQUIRE(ready_.await());
  }
  void end() {
    go_.post();
    if (end_ == End::killed) child_.kill_and_wait();
  }
  pid_t pid() const { return child_.pid(); }

 private:
  static void* run(void* context) {
    auto& self = *static_cast<Owner*>(context);
    if (port::alive_start() != 0) abort();
    const int place = port::alive_map(self.page_.descriptor, 0);
    for (std::uint32_t i : {1u, 5u, 254u}) {
      claim(self.page_.descriptor, i);
      if (port::alive_enlist(place, i * stride) != 0) abort();
    }
    self.ready_.post();
    self.go_.await();
    if (self.end_ == End::thread_exits) return nullptr;
    if (self.end_ == End::process_exits) _exit(0);
    for (;;)
      pause();
  }
  int live() {
    port::Thread thread;
    if (port::thread_start(thread, run, this) != 0) return 1;
    if (end_ == End::executes) {
      go_.await();
      execl("/bin/sleep", "sleep", "100", nullptr);
    }
    for (;;)
      pause();
  }

  const Page& page_;
  End end_;
  Signpost ready_, go_;
  Child child_;
};

/// Sleeps on a word in a thread of this process until the kernel marks it.
class Sleeper {
 public:
  Sleeper(const core::Word& event, const core::Word* alive)
      : thread_([this, &event, alive] {
          id_ = static_cast<pid_t>(port::thread_id());
          const core::Word& watched = alive != nullptr ? *alive : event;
          const std::uint32_t value = __atomic_load_n(&event.value, __ATOMIC_ACQUIRE);
          for (;;) {
            const std::uint32_t seen = __atomic_load_n(&watched.value, __ATOMIC_ACQUIRE);
            if ((seen & port::owner_died) != 0) return;
            port::wait_word(event, value, alive, seen, port::never);
          }
        }) {
    while (id_ == 0)
      sched_yield();
    await_sleep(getpid(), id_);
  }
  void join() { thread_.join(); }

 private:
  std::atomic<pid_t> id_{0};
  std::thread thread_;
};

}  // namespace

TEST_CASE("however the thread ends, its words are marked and sleepers on a read-only page wake") {
  for (End end : {End::killed, End::thread_exits, End::process_exits, End::executes}) {
    Deadline guard;
    const Page page;
    Owner owner(page, end);
    CAPTURE(static_cast<int>(end));
    CHECK_FALSE(page.is_marked(5));
    CHECK((page.value(5) & port::has_waiters) != 0);
    Sleeper one(page.word(5), nullptr);
    Sleeper other(page.word(254), nullptr);
    owner.end();
    one.join();
    other.join();
    for (std::uint32_t i : {1u, 5u, 254u})
      page.await_mark(i);
    CHECK(page.value(2) == 0);
    CHECK(is_dead(&page.word(5)));
  }
}

TEST_CASE("who sleeps on an event and the alive word at once is woken by the death alone") {
  if (!port::has_wait_many()) {
    support::skip("this kernel has no futex_waitv");
    return;
  }
  Deadline guard;
  const Page page;
  core::Word event{4};
  Owner owner(page, End::killed);
  Sleeper sleeper(event, &page.word(5));
  owner.end();
  sleeper.join();
  CHECK(page.is_marked(5));
  CHECK(event.value == 4);  // Nobody rang.
}

TEST_CASE("a word that was taken off the list, and words after a stop, are left alone") {
  for (bool stop : {false, true}) {
    Deadline guard;
    const Page page;
    Child child([&page, stop] {
      static bool stops;
      static int descriptor;
      stops = stop;
      descriptor = page.descriptor;
      port::Thread thread;
      port::thread_start(
          thread,
          [](void*) -> void* {
            port::alive_start();
            const int place = port::alive_map(descriptor, 0);
            for (std::uint32_t i : {1u, 5u, 7u}) {
              claim(descriptor, i);
              port::alive_enlist(place, i * stride);
            }
            port::alive_delist(place, 5 * stride);
            port::alive_delist(place, 5 * stride);
            port::alive_delist(place, 100 * stride);
            if (stops) port::alive_stop();
            return nullptr;
          },
          nullptr);
      port::thread_join(thread);
      return 0;
    });
    CHECK(child.exit_code() == 0);
    CHECK(page.is_marked(1) == !stop);
    CHECK_FALSE(page.is_marked(5));
    CHECK(page.is_marked(7) == !stop);
  }
}

TEST_CASE("2000 words in all are watched, the next is refused, and there are 256 places") {
  Deadline guard;
  constexpr std::uint32_t per_page = 200;
  const Page page(11);
  Child child([&page] {
    static const Page* at;
    static int code;
    at = &page;
    port::Thread thread;
    port::thread_start(
        thread,
        [](void*) -> void* {
          port::alive_start();
          port::Mapping own;
          port::memory_map(at->descriptor, 11 * Page::bytes(), true, own);
          std::uint32_t enlisted = 0;
          for (std::uint32_t p = 0; p < 11 && code == 0; ++p) {
            const int place = port::alive_map(at->descriptor, p * Page::bytes());
            if (place < 0) code = 1;
            for (std::uint32_t i = 0; i < per_page && code == 0; ++i) {
              auto* const word =
                  reinterpret_cast<std::uint32_t*>(own.base + p * Page::bytes() + i * stride);
              *word = port::thread_id() | port::has_waiters;
              const int error = port::alive_enlist(place, i * stride);
              if (error != (enlisted < 2000 ? 0 : -ENOSPC)) code = 2;
              enlisted += error == 0 ? 1 : 0;
            }
          }
          int places = 11;
          while (port::alive_map(at->descriptor, 0) >= 0)
            ++places;
          if (places != 256) code = 3;
          if (port::alive_enlist(-1, 0) != -ENOSPC) code = 4;
          port::alive_delist(-1, 0);
          port::alive_unmap(-1);
          return nullptr;
        },
        nullptr);
    port::thread_join(thread);
    return code;
  });
  CHECK(child.exit_code() == 0);
  std::uint32_t marked = 0;
  for (std::uint32_t p = 0; p < 11; ++p)
    for (std::uint32_t i = 0; i < per_page; ++i) {
      const auto* const word =
          reinterpret_cast<const std::uint32_t*>(page.view.base + p * Page::bytes() + i * stride);
      marked += (*word & port::owner_died) != 0 ? 1 : 0;
    }
  CHECK(marked == 2000);
}

TEST_CASE("a place is used again after it was unmapped, and start and stop leave no mapping") {
  Deadline guard;
  const Page page;
  const std::size_t parts = part_mapping_count();
  bool right = true;
  std::thread([&] {
    const std::size_t reserved = reserved_bytes();
    for (int i = 0; i < 20; ++i) {
      right = right && port::alive_start() == 0;
      const int place = port::alive_map(page.descriptor, 0);
      right = right && place == 0 && port::alive_map(page.descriptor, 0) == 1;
      port::alive_unmap(place);
      port::alive_unmap(place);
      right = right && port::alive_map(page.descriptor, 0) == 0;
      port::alive_stop();
      right = right && part_mapping_count() == parts && reserved_bytes() == reserved;
    }
    right = right && port::alive_map(page.descriptor, 0) == -ENOSPC;  // Not started.
  }).join();
  CHECK(right);
}
