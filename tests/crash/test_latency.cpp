// tests/crash/test_latency.cpp: how soon a death is known, by the size of the dead process, beside
// what the kernel itself takes: in the same run processes of the same size are killed of which
// somebody only polls the pidfd. docs/logs/latency.txt is the log of a full run.
//
//   test_latency ROLE
// VDSET_TEST_DEEP=N   N times 1,000 kills of the small process, 100 of 64 MiB, 60 of 1 GiB
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include "tests/crash/soak_life.hpp"

namespace vdset::soak {
namespace {

using Times = std::vector<double>;  // Microseconds.

double at(Times times, unsigned percent) {
  std::sort(times.begin(), times.end());
  return times.empty() ? 0 : times[std::min(times.size() - 1, times.size() * percent / 100)];
}

/// From SIGKILL to the pidfd's readiness, of the same program, which does nothing; 0: it went
/// wrong.
double bare_kill(Ground& ground, unsigned mib) {
  Book& book = ground.book();
  book.is_idle = 0;
  const std::string words[] = {ground.program(),
                               std::to_string(ground.book_fd()),
                               std::to_string(static_cast<std::uint32_t>(Kind::idle)),
                               "0",
                               ground.directory(),
                               std::to_string(mib)};
  std::vector<char*> pointers;
  for (const std::string& word : words)
    pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    execv(pointers[0], pointers.data());
    _exit(127);
  }
  const std::uint64_t limit = now_ns() + watchdog_ns;
  while (book.is_idle == 0 && now_ns() < limit)
    usleep(50);
  const int descriptor = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  const std::uint64_t begin = now_ns();
  kill(pid, SIGKILL);
  pollfd waiting{descriptor, POLLIN, 0};
  const bool heard = poll(&waiting, 1, 60'000) == 1;
  const std::uint64_t end = now_ns();
  close(descriptor);
  waitpid(pid, nullptr, 0);
  return book.is_idle != 0 && heard ? static_cast<double>(end - begin) / 1e3 : 0;
}

struct Measured {
  Times bare, sweep, abort;
  unsigned wrong = 0;
};

class Latency {
 public:
  explicit Latency(const char* program) : ground_(program), book_(ground_.book()) {}

  /// In turn, so that all three meet the same machine.
  void measure(unsigned mib, unsigned times) {
    Measured m;
    while (m.sweep.size() < times && m.wrong < 5)
      live(mib, std::min(20u, times - static_cast<unsigned>(m.sweep.size())), m);
    print(mib, m);
    passed += m.wrong == 0 && m.sweep.size() >= times && m.bare.size() >= times;
    failed += m.wrong != 0 || m.sweep.size() < times || m.bare.size() < times;
  }
  std::string leaks() const { return ground_.leaks(); }

  unsigned passed = 0, failed = 0;

 private:
  /// Some secondaries of one set that hold a command are killed, at last its server.
  void live(unsigned mib, unsigned kills, Measured& m) {
    Life life(ground_);
    life.begin(false, mib);
    book_.hold = 1;
    life.kill_one(Life::first);
    life.reap(Life::first);
    const auto kill_bare = [&] {
      const double bare = bare_kill(ground_, mib);
      if (bare > 0) m.bare.push_back(bare);
    };
    for (unsigned i = 0; i < kills && !life.is_wrong(); ++i) {
      // Before and after, in turn: what the one frees the other gets.
      if (i % 2 == 0) kill_bare();
      book_.lane[1].held = 0;
      life.start(Life::first, mib);
      if (!life.until("hold", [&] { return book_.lane[1].held != 0; })) break;
      book_.lane[1].failed_at_ns = 0;
      const std::uint64_t begin = life.kill_one(Life::first);
      if (life.until("sweep", [&] { return book_.lane[1].failed_at_ns != 0; }))
        m.sweep.push_back(static_cast<double>(book_.lane[1].failed_at_ns - begin) / 1e3);
      life.reap(Life::first);
      if (i % 2 != 0) kill_bare();
    }
    book_.hold = 0;
    const std::uint64_t begin = life.kill_one(Life::server);
    if (life.until("abort", [&] { return book_.abort_seen_ns != 0; }))
      m.abort.push_back(static_cast<double>(book_.abort_seen_ns - begin) / 1e3);
    book_.stop = 1;
    life.reap_all();
    m.wrong += life.is_wrong() ? 1 : 0;
  }

  static void print(unsigned mib, const Measured& m) {
    std::printf(
        "%4u MiB, %4zu kills: pidfd alone p50 %8.3f ms p99 %8.3f ms; sweep p50 %8.3f ms p99 "
        "%8.3f ms; ours above the kernel's: p50 %.2f times, p99 %.2f times; abort (%zu) p50 "
        "%.3f ms p99 %.3f ms\n",
        mib, m.sweep.size(), at(m.bare, 50) / 1e3, at(m.bare, 99) / 1e3, at(m.sweep, 50) / 1e3,
        at(m.sweep, 99) / 1e3, at(m.sweep, 50) / std::max(at(m.bare, 50), 1e-3),
        at(m.sweep, 99) / std::max(at(m.bare, 99), 1e-3), m.abort.size(), at(m.abort, 50) / 1e3,
        at(m.abort, 99) / 1e3);
    std::fflush(stdout);
  }

  Ground ground_;
  Book& book_;
};

int run(const char* program) {
  const char* const deep = std::getenv("VDSET_TEST_DEEP");
  const unsigned n = deep != nullptr ? static_cast<unsigned>(std::atoi(deep)) : 0;
  Latency latency(program);
  latency.measure(0, n > 0 ? 1000 * n : 20);
  latency.measure(64, n > 0 ? 100 * n : 3);
  latency.measure(1024, n > 0 ? 60 * n : 1);
  const std::string leaks = latency.leaks();
  if (!leaks.empty()) std::printf("FAIL left: %s\n", leaks.c_str());
  ++(leaks.empty() ? latency.passed : latency.failed);
  std::printf("%u passed, %u failed\n", latency.passed, latency.failed);
  return latency.failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace vdset::soak

int main(int count, char** words) {
  return count < 2 ? 2 : vdset::soak::run(words[1]);
}
