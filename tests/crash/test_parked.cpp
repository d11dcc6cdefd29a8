// tests/crash/test_parked.cpp: 64 waiters of five kinds in eight processes, all asleep, when the
// set is aborted (by any of them, also by one that is killed before it wakes anybody) or its server
// or primary is killed: every call returns ABORT. Prints how soon.
//
//   test_parked ROLE
// VDSET_TEST_DEEP=N   N times 1,000 kills of servers and primaries, and 50 of each other end
#include <dirent.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vdset.h>
#include <algorithm>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>
#include "tests/crash/parked.hpp"
#include "tests/crash/thread_state.hpp"

namespace vdset::parked {
namespace {

constexpr std::uint64_t watchdog_ns = 20'000'000'000;

struct Ending {
  const char* name;
  std::uint32_t who;
  bool aborts, dies;
};
constexpr Ending endings[] = {
    {"server killed", server, false, true},
    {"primary killed", primary, false, true},
    {"abort by the server", server, true, false},
    {"abort by the primary", primary, true, false},
    {"abort by a secondary", 4, true, false},
    {"abort by the server, killed after the word", server, true, true},
    {"abort by the primary, killed after the word", primary, true, true},
    {"abort by a secondary, killed after the word", 5, true, true},
};
constexpr unsigned kills_only = 2;  // The first ones.

class Rounds {
 public:
  explicit Rounds(const char* program) : program_(program) {
    char name[] = "/tmp/vdset-parked-XXXXXX";
    directory_ = mkdtemp(name);
    fd_ = memfd_create("parked", 0);  // Inherited.
    if (ftruncate(fd_, sizeof(Book)) != 0) std::abort();
    void* const memory = mmap(nullptr, sizeof(Book), PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    if (memory == MAP_FAILED) std::abort();
    book_ = static_cast<Book*>(memory);
  }
  ~Rounds() {
    clear();
    rmdir(directory_.c_str());
  }
  Rounds(const Rounds&) = delete;
  Rounds& operator=(const Rounds&) = delete;

  /// True: every call of those who live returned ABORT. Their times are added.
  bool run(const Ending& ending, std::vector<double>& ms) {
    wrong_ = false;
    clear();
    std::memset(static_cast<void*>(book_), 0, sizeof(Book));
    book_->aborter = ending.aborts ? ending.who : processes;
    book_->dies = ending.dies;
    start(primary);
    until("create", [&] { return book_->created != 0; });
    start(server);
    until("configure", [&] { return book_->configured != 0; });
    for (std::uint32_t i = primary + 1; i < processes && !wrong_; ++i)
      start(i);
    until("park", [&] { return all_asleep(); });
    std::uint64_t began = now_ns();
    if (ending.aborts)
      book_->go = 1;
    else
      kill(pids_[ending.who], SIGKILL);
    until("return", [&] { return returned(ending) == due(ending); });
    if (ending.aborts) began = book_->began_ns;
    judge(ending, began, ms);
    reap(ending);
    return !wrong_;
  }

 private:
  static bool is_of_dead(const Ending& ending, std::uint32_t i) {
    return ending.dies && process_of(i) == ending.who;
  }
  static std::uint32_t due(const Ending& ending) {
    std::uint32_t count = 0;
    for (std::uint32_t i = 0; i < waiters; ++i)
      count += is_of_dead(ending, i) ? 0 : 1;
    return count;
  }
  static std::uint32_t process_of(std::uint32_t waiter) {
    return waiter == waiters - 1 ? server : waiter / waiters_each + primary;
  }
  /// All waiters are in their calls, and each was seen asleep, look by look.
  bool all_asleep() const {
    constexpr int looks = 3;
    for (int look = 0; look < looks; ++look) {
      for (std::uint32_t i = 0; i < waiters; ++i) {
        const Waiter& waiter = book_->waiter[i];
        const pid_t thread = waiter.thread;
        if (thread == 0 || waiter.returned_ns != 0) return false;
        if (thread_state(pids_[process_of(i)], thread) != 'S') return false;
      }
      usleep(500);  // A lock's wait is over by then.
    }
    return true;
  }

  std::uint32_t returned(const Ending& ending) const {
    std::uint32_t count = 0;
    for (std::uint32_t i = 0; i < waiters; ++i)
      count += !is_of_dead(ending, i) && book_->waiter[i].returned_ns != 0 ? 1 : 0;
    return count;
  }

  void judge(const Ending& ending, std::uint64_t began, std::vector<double>& ms) {
    for (std::uint32_t i = 0; i < waiters; ++i) {
      const Waiter& waiter = book_->waiter[i];
      if (is_of_dead(ending, i)) continue;
      const char* const kind = kind_names[waiter.kind];
      if (waiter.returned_ns == 0)
        complain("%s: waiter %u (%s) sleeps on", ending.name, i, kind);
      else if (waiter.code != VDSET_E_ABORT)
        complain("%s: waiter %u (%s) got %s", ending.name, i, kind, vdset_error_name(waiter.code));
      else
        ms.push_back(static_cast<double>(waiter.returned_ns - began) / 1e6);
    }
    if (book_->complaints != 0) complain("%s: %s", ending.name, book_->complaint);
  }

  void reap(const Ending& ending) {
    for (std::uint32_t i = 0; i < processes; ++i) {
      if (pids_[i] <= 0) continue;
      if (wrong_) kill(pids_[i], SIGKILL);
      int status = 0;
      const std::uint64_t limit = now_ns() + watchdog_ns;
      while (waitpid(pids_[i], &status, WNOHANG) == 0) {
        if (now_ns() > limit) kill(pids_[i], SIGKILL);
        usleep(200);
      }
      const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
      const bool victim = ending.dies && ending.who == i;
      if (victim ? !killed : !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
        complain("%s: process %u ends with status %x", ending.name, i, status);
      pids_[i] = -1;
    }
  }

  void start(std::uint32_t who) {
    const std::string words[] = {program_, std::to_string(fd_), std::to_string(who), directory_};
    std::vector<char*> pointers;
    for (const std::string& word : words)
      pointers.push_back(const_cast<char*>(word.c_str()));
    pointers.push_back(nullptr);
    pids_[who] = fork();
    if (pids_[who] == 0) {
      execv(pointers[0], pointers.data());
      _exit(127);
    }
  }

  template <class F>
  void until(const char* what, F done) {
    const std::uint64_t limit = now_ns() + watchdog_ns;
    while (!wrong_ && !done()) {
      if (now_ns() > limit || book_->complaints != 0)
        return complain("it does not come to: %s; %s", what, book_->complaint);
      usleep(200);
    }
  }

  void clear() {
    DIR* const dir = opendir(directory_.c_str());
    while (const dirent* entry = dir != nullptr ? readdir(dir) : nullptr)
      if (entry->d_name[0] != '.') unlink((directory_ + "/" + entry->d_name).c_str());
    if (dir != nullptr) closedir(dir);
  }

  [[gnu::format(printf, 2, 3)]] void complain(const char* format, ...) {
    std::va_list arguments;
    va_start(arguments, format);
    std::printf("FAIL ");
    std::vprintf(format, arguments);
    std::printf("\n");
    va_end(arguments);
    wrong_ = true;
  }

  std::string program_, directory_;
  int fd_ = -1;
  Book* book_ = nullptr;
  pid_t pids_[processes] = {};
  bool wrong_ = false;
};

double at(const std::vector<double>& sorted, double part) {
  const auto i = static_cast<std::size_t>(static_cast<double>(sorted.size()) * part);
  return sorted.empty() ? 0 : sorted[std::min(sorted.size() - 1, i)];
}

int run(const char* program) {
  const char* const deep = std::getenv("VDSET_TEST_DEEP");
  const unsigned n = deep != nullptr ? static_cast<unsigned>(std::atoi(deep)) : 0;
  Rounds rounds(program);
  unsigned passed = 0, failed = 0;
  for (unsigned e = 0; e < std::size(endings) && failed < 3; ++e) {
    const unsigned times = n == 0 ? 2 : e < kills_only ? 500 * n : 50 * n;
    std::vector<double> ms;
    for (unsigned i = 0; i < times && failed < 3; ++i)
      ++(rounds.run(endings[e], ms) ? passed : failed);
    std::sort(ms.begin(), ms.end());
    std::printf(
        "%-44s %4u times, %6zu waits ended with ABORT: p50 %.3f ms, p99 %.3f ms, p99.9 %.3f "
        "ms, longest %.3f ms\n",
        endings[e].name, times, ms.size(), at(ms, 0.5), at(ms, 0.99), at(ms, 0.999),
        ms.empty() ? 0.0 : ms.back());
    std::fflush(stdout);
  }
  std::printf("%u passed, %u failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace vdset::parked

int main(int count, char** words) {
  return count < 2 ? 2 : vdset::parked::run(words[1]);
}
