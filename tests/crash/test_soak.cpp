// tests/crash/test_soak.cpp: random participants of a live set are killed, thousands of times; then
// the books are checked: no command lost or doubled, no buffer, descriptor or name left. And how
// soon a death is known, by the size of the dead process.
//
//   test_soak ROLE
// VDSET_TEST_DEEP=N   10,000 kills instead of a few hundred
// VDSET_TEST_SEED=S   of the random choices
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
#include <random>
#include <stdexcept>
#include <string>
#include <vector>
#include "tests/crash/soak.hpp"

namespace vdset::soak {
namespace {

constexpr std::uint64_t watchdog_ns = 10'000'000'000;
constexpr unsigned kills_each_life = 100;

struct Sum {
  unsigned kills = 0, lives = 0, secondaries = 0, workers = 0, primaries = 0, servers = 0;
  std::uint64_t commands = 0, well = 0, failed = 0, recalled = 0, handed_over = 0;
  unsigned passed = 0, wrong = 0;
  std::vector<double> sweep_us, abort_us;
};

class Life {
 public:
  Life(std::string program, const std::string& directory, int book_fd, Book& book)
      : program_(std::move(program)), directory_(directory), book_fd_(book_fd), book_(book) {}
  ~Life() {
    for (const pid_t pid : pids_)
      if (pid > 0) kill(pid, SIGKILL);
    for (const pid_t pid : pids_)
      if (pid > 0) waitpid(pid, nullptr, 0);
  }
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;

  enum Place { server, primary, first, second, worker, places };

  void begin(bool hand_over, unsigned server_mib = 0) {
    // Only what the last life used.
    std::memset(static_cast<void*>(&book_), 0, offsetof(Book, entries));
    std::memset(static_cast<void*>(book_.entries), 0, sizeof(Entry) * used_);
    book_.hand_over = hand_over;
    start(primary);
    until("create", [&] { return book_.created != 0; });
    start(server, server_mib);
    until("configure", [&] { return book_.configured != 0; });
    start(first);
    start(second);
    start(worker);
  }

  void start(Place place, unsigned mib = 0) {
    constexpr Kind kinds[places] = {Kind::server, Kind::primary, Kind::secondary, Kind::secondary,
                                    Kind::worker};
    const std::string words[] = {program_,
                                 std::to_string(book_fd_),
                                 std::to_string(static_cast<std::uint32_t>(kinds[place])),
                                 std::to_string(place == second  ? 2
                                                : place == first ? 1
                                                                 : 0),
                                 directory_,
                                 std::to_string(mib)};
    std::vector<char*> pointers;
    for (const std::string& word : words)
      pointers.push_back(const_cast<char*>(word.c_str()));
    pointers.push_back(nullptr);
    pids_[place] = fork();
    if (pids_[place] == 0) {
      execv(pointers[0], pointers.data());
      _exit(127);
    }
    if (pids_[place] < 0) throw std::runtime_error("fork");
  }

  /// SIGKILL, at once; the time just before it.
  std::uint64_t kill_one(Place place) {
    const std::uint64_t at = now_ns();
    kill(pids_[place], SIGKILL);
    return at;
  }
  void reap(Place place) {
    int status = 0;
    waitpid(pids_[place], &status, 0);
    pids_[place] = -1;
    if (!WIFSIGNALED(status) && WEXITSTATUS(status) != 0) complain("a role ends with an error");
  }
  /// Of those that end by themselves.
  void reap_all() {
    for (int p = 0; p < places; ++p) {
      int status = 0;
      const std::uint64_t limit = now_ns() + watchdog_ns;
      while (pids_[p] > 0 && waitpid(pids_[p], &status, WNOHANG) == 0) {
        if (now_ns() > limit) {
          complain("a survivor hangs (place %d)", p);
          return;
        }
        usleep(100);
      }
      if (pids_[p] > 0 && WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        complain("place %d crashes with signal %d", p, WTERMSIG(status));
      pids_[p] = -1;
    }
  }

  template <class F>
  bool until(const char* what, F done) {
    const std::uint64_t limit = now_ns() + watchdog_ns;
    while (!done()) {
      if (now_ns() > limit) {
        complain("nothing happens in 10 s: %s", what);
        return false;
      }
      usleep(50);
    }
    return true;
  }

  /// The books of a life that has ended; `ended_by` a kill of primary or server, or by itself.
  void check(bool by_kill, bool server_killed, Sum& sum) {
    used_ = std::min<std::uint32_t>(book_.next_id, ids_max);
    sum.commands += used_;
    for (std::uint32_t i = 0; i < used_; ++i)
      check_entry(i, by_kill, server_killed, sum);
    if (book_.complaints != 0)
      complain("%u complaints: %s", book_.complaints.load(), book_.complaint);
    if (!server_killed && book_.server_descriptors_left != 0)
      complain("%u descriptors are left in the server", book_.server_descriptors_left.load());
    if (!by_kill && book_.server_result != server_closed) complain("the set did not end well");
    if (!by_kill && book_.buffers_left != 0)
      complain("%u buffers are lost", book_.buffers_left.load());
    check_names(by_kill && !server_killed);
    sum.passed += wrong_ == 0;
    sum.wrong += wrong_ != 0;
  }

  [[gnu::format(printf, 2, 3)]] void complain(const char* format, ...) {
    std::va_list arguments;
    va_start(arguments, format);
    if (wrong_++ < 5) {
      std::printf("FAIL ");
      std::vprintf(format, arguments);
      std::printf("\n");
    }
    va_end(arguments);
  }
  bool is_wrong() const { return wrong_ != 0; }

 private:
  void check_entry(std::uint32_t i, bool by_kill, bool server_killed, Sum& sum) {
    const Entry& e = book_.entries[i];
    if (server_killed) return;
    if (e.callbacks != 1) return complain("command %u ended %u times", i, e.callbacks.load());
    sum.well += e.code == 0;
    sum.failed += e.code == 995;
    sum.recalled += e.code == 1117;
    sum.handed_over += e.fetched > 1;
    if (e.code != 0 && e.code != 995 && e.code != 1117)
      complain("command %u ended with %u", i, e.code.load());
    if (e.code == 0 && e.completing == 0) complain("command %u: nobody did it", i);
    if (e.completed > 1) complain("command %u was completed twice", i);
    if (by_kill) return;
    if (e.completed == 1 && e.code != 0) complain("command %u: completed, but failed", i);
    if (e.code != 0 && book_.hand_over != 0) complain("command %u failed, not handed over", i);
  }

  void check_names(bool primary_killed) {
    if (nodes() > (primary_killed ? 2u : 0u)) complain("%u nodes are left", nodes());
    vdset_config config{};
    config.struct_bytes = sizeof config;
    config.device_count = 1;
    vdset_set_options options{};
    options.struct_bytes = sizeof options;
    options.directory = directory_.c_str();
    vdset_set* set = nullptr;
    if (vdset_set_create(set_name, &config, &options, &set) != VDSET_OK)
      return complain("the name cannot be used again: %s", vdset_last_error());
    vdset_set_close(set);
    if (nodes() != 0) complain("%u nodes are left by the next set", nodes());
  }
  unsigned nodes() const {
    unsigned count = 0;
    DIR* const dir = opendir(directory_.c_str());
    while (const dirent* entry = dir != nullptr ? readdir(dir) : nullptr)
      count += entry->d_name[0] != '.';
    if (dir != nullptr) closedir(dir);
    return count;
  }

  std::string program_;
  const std::string& directory_;
  int book_fd_;
  Book& book_;
  pid_t pids_[places] = {-1, -1, -1, -1, -1};
  std::uint32_t used_ = ids_max;
  unsigned wrong_ = 0;
};

class Soak {
 public:
  Soak(const char* program, std::uint64_t seed) : program_(program), random_(seed) {
    char name[] = "/tmp/vdset-soak-XXXXXX";
    if (mkdtemp(name) == nullptr) throw std::runtime_error("no directory to work in");
    directory_ = name;
    fd_ = memfd_create("soak", 0);  // Inherited.
    if (ftruncate(fd_, sizeof(Book)) != 0) throw std::runtime_error("no memory");
    void* const memory = mmap(nullptr, sizeof(Book), PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("no memory");
    book_ = static_cast<Book*>(memory);
  }
  ~Soak() {
    rmdir(directory_.c_str());
    munmap(book_, sizeof(Book));
    close(fd_);
  }
  Soak(const Soak&) = delete;
  Soak& operator=(const Soak&) = delete;

  /// One set, from Create to its end: by itself, or because its primary or server is killed.
  void live(unsigned kills) {
    Life life(program_, directory_, fd_, *book_);
    const bool hand_over = sum.lives++ % 2 != 0;
    life.begin(hand_over);
    // A life ends early when its commands would fill the book.
    for (unsigned i = 0; i < kills && !life.is_wrong() && book_->next_id < ids_max / 2; ++i)
      kill_somebody(life, hand_over);
    const auto end = static_cast<unsigned>(random_() % 3);
    if (end != 0 && !life.is_wrong()) {
      ++sum.kills;
      const Life::Place place = end == 1 ? Life::primary : Life::server;
      (end == 1 ? sum.primaries : sum.servers) += 1;
      const std::uint64_t at = life.kill_one(place);
      if (life.until("abort", [&] { return book_->abort_seen_ns != 0; }))
        sum.abort_us.push_back(static_cast<double>(book_->abort_seen_ns - at) / 1e3);
    }
    book_->stop = 1;
    life.reap_all();
    life.check(end != 0, end == 2, sum);
  }

  /// How soon a death is known: of a secondary that holds a command, and of the server.
  void measure(unsigned mib, unsigned times) {
    std::vector<double> sweep, abort;
    for (unsigned i = 0; i < times; ++i) {
      Life life(program_, directory_, fd_, *book_);
      life.begin(false, mib);
      life.kill_one(Life::first);
      life.reap(Life::first);
      book_->hold = 1;
      book_->lane[1].failed_at_ns = 0;
      book_->lane[1].served = 0;
      life.start(Life::first, mib);
      if (life.until("hold", [&] { return book_->lane[1].served != 0; })) {
        book_->lane[1].failed_at_ns = 0;
        const std::uint64_t at = life.kill_one(Life::first);
        if (life.until("sweep", [&] { return book_->lane[1].failed_at_ns != 0; }))
          sweep.push_back(static_cast<double>(book_->lane[1].failed_at_ns - at) / 1e3);
      }
      book_->hold = 0;
      const std::uint64_t at = life.kill_one(Life::server);
      if (life.until("abort", [&] { return book_->abort_seen_ns != 0; }))
        abort.push_back(static_cast<double>(book_->abort_seen_ns - at) / 1e3);
      sum.wrong += life.is_wrong();
      sum.passed += !life.is_wrong();
    }
    std::printf("dead process of %4u MiB, %u times: sweep", mib, times);
    print_times(sweep);
    std::printf("; abort");
    print_times(abort);
    std::printf("\n");
  }

  static void print_times(std::vector<double>& us) {
    std::sort(us.begin(), us.end());
    if (us.empty()) return;
    std::printf(" p50 %.2f ms, p99 %.2f ms", us[us.size() / 2] / 1e3,
                us[std::min(us.size() - 1, us.size() * 99 / 100)] / 1e3);
  }

  Sum sum;

 private:
  void kill_somebody(Life& life, bool hand_over) {
    usleep(static_cast<useconds_t>(random_() % 4000));
    const auto choice = static_cast<unsigned>(random_() % 9);
    const Life::Place place = choice == 0 ? Life::worker : choice < 5 ? Life::first : Life::second;
    const std::uint32_t lane = place == Life::first ? 1 : place == Life::second ? 2 : 0;
    ++sum.kills;
    (place == Life::worker ? sum.workers : sum.secondaries) += 1;
    book_->lane[lane].failed_at_ns = 0;
    const std::uint64_t at = life.kill_one(place);
    life.reap(place);
    book_->lane[lane].served = 0;
    life.start(place);
    if (place == Life::worker) return;
    // Some successors may be killed anywhere, the others are left to begin.
    if (random_() % 4 != 0) life.until("serve", [&] { return book_->lane[lane].served != 0; });
    const std::uint64_t failed = book_->lane[lane].failed_at_ns;
    if (!hand_over && failed > at) sum.sweep_us.push_back(static_cast<double>(failed - at) / 1e3);
  }

  std::string program_;
  std::mt19937_64 random_;
  std::string directory_;
  int fd_ = -1;
  Book* book_ = nullptr;
};

int run(const char* program) {
  const char* const deep = std::getenv("VDSET_TEST_DEEP");
  const char* const given = std::getenv("VDSET_TEST_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  const bool is_deep = deep != nullptr && std::atoi(deep) != 0;
  const unsigned kills = is_deep ? 10'000u * static_cast<unsigned>(std::atoi(deep)) : 400u;
  Soak soak(program, seed);
  Sum& sum = soak.sum;
  const std::uint64_t begin = now_ns();
  while (sum.kills < kills && sum.wrong < 5)
    soak.live(kills_each_life - 1);
  std::printf(
      "%u kills in %.0f s, seed %llu: %u secondaries, %u workers, %u primaries, %u servers;"
      " %u lives\n",
      sum.kills, static_cast<double>(now_ns() - begin) / 1e9, static_cast<unsigned long long>(seed),
      sum.secondaries, sum.workers, sum.primaries, sum.servers, sum.lives);
  std::printf(
      "%llu commands: %llu done (%llu handed over), %llu failed with 995, %llu unseen with "
      "1117; lost or doubled: %s\n",
      static_cast<unsigned long long>(sum.commands), static_cast<unsigned long long>(sum.well),
      static_cast<unsigned long long>(sum.handed_over), static_cast<unsigned long long>(sum.failed),
      static_cast<unsigned long long>(sum.recalled), sum.wrong == 0 ? "0" : "SOME");
  std::printf("in full work: sweep of a secondary");
  Soak::print_times(sum.sweep_us);
  std::printf("; abort by a death");
  Soak::print_times(sum.abort_us);
  std::printf("\n");
  for (const unsigned mib : {0u, 256u, 1024u})
    soak.measure(mib, is_deep ? 40 : mib == 1024 ? 1 : 3);
  std::printf("%u passed, %u failed\n", sum.passed, sum.wrong);
  return sum.wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace vdset::soak

int main(int count, char** words) {
  return count < 2 ? 2 : vdset::soak::run(words[1]);
}
