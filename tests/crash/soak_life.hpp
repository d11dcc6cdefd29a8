// tests/crash/soak_life.hpp: one life of a set of the soak: its processes, their ends, its books.
#pragma once
#include <sys/types.h>
#include <unistd.h>
#include <cstdint>
#include <string>
#include <vector>
#include "tests/crash/soak.hpp"

namespace vdset::soak {

constexpr std::uint64_t watchdog_ns = 60'000'000'000;

/// How a life ended; each kind is judged by itself.
enum Ending : unsigned { by_itself, primary_killed, server_killed, endings };
inline constexpr const char* ending_names[endings] = {"by itself", "primary killed",
                                                      "server killed"};

/// What the lives of one kind came to. Judged: it is known how the command ended. Else its server
/// was killed before it could say so, and at most once is all that can be asked.
struct Judged {
  unsigned lives = 0, heard_abort = 0;
  std::uint64_t judged = 0, unjudged = 0;
};

struct Sum {
  unsigned kills = 0, lives = 0, secondaries = 0, workers = 0, primaries = 0, servers = 0;
  unsigned aimed = 0;         // Secondaries that were killed while they lingered over a command.
  unsigned holders = 0;       // Secondaries that held fetched commands when they were killed.
  unsigned held_by_last = 0;  // Primaries and servers killed while a client held a command.
  std::uint64_t commands = 0, well = 0, failed = 0, recalled = 0, handed_over = 0;
  std::uint64_t lost = 0, doubled = 0;  // Commands; none may be.
  std::uint64_t looked_for_leaks = 0;
  unsigned all_killed = 0;      // Lives whose processes were all killed at once ...
  unsigned left_something = 0;  // ... and those of them that left what they must not.
  Judged judged[endings];
  unsigned passed = 0, wrong = 0;
  std::vector<double> sweep_us, abort_us;
};

/// What a driver needs for lives: a directory of its own, the book.
class Ground {
 public:
  explicit Ground(const char* program);
  ~Ground();
  Ground(const Ground&) = delete;
  Ground& operator=(const Ground&) = delete;

  Book& book() { return *book_; }
  /// Nodes in the directory.
  unsigned nodes() const;
  /// Empty; else what the lives since the beginning have left in the system or in this process.
  std::string leaks() const;

  const std::string& program() const { return program_; }
  const std::string& directory() const { return directory_; }
  int book_fd() const { return fd_; }
  /// Commands of the last life; only these are wiped before the next one.
  std::uint32_t used = ids_max;

 private:
  std::string program_, directory_;
  std::vector<std::string> shared_names_;
  std::size_t descriptors_;
  int fd_ = -1;
  Book* book_ = nullptr;
};

class Life {
 public:
  enum Place { server, primary, first, second, worker, places };

  explicit Life(Ground& ground);
  ~Life();
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;

  void begin(bool hand_over, unsigned server_mib = 0);
  void start(Place place, unsigned mib = 0);
  pid_t pid(Place place) const { return pids_[place]; }
  /// SIGKILL, at once; the time just before it.
  std::uint64_t kill_one(Place place);
  void reap(Place place);
  /// All at once, so that nobody tidies up.
  void kill_all();
  /// All of them, which end by themselves or were killed.
  void reap_all();
  /// False, and a complaint: not in the watchdog's time.
  template <class F>
  bool until(const char* what, F done) {
    const std::uint64_t begin = now_ns();
    while (!done()) {
      if (now_ns() > begin + watchdog_ns) {
        complain_of_stall(what);
        return false;
      }
      usleep(50);
    }
    return true;
  }
  /// After kill_all: what is left is two empty nodes at most, until the next set of that name.
  void check_all_killed(Sum& sum);
  /// The books of a life that has ended.
  void check(Ending ending, Sum& sum);

  [[gnu::format(printf, 2, 3)]] void complain(const char* format, ...);
  bool is_wrong() const { return wrong_ != 0; }

 private:
  /// With what each lane was doing.
  void complain_of_stall(const char* what);
  void judge_end(Place place, int status);
  bool check_entry(std::uint32_t id, Ending ending, Sum& sum);
  void check_ends(Ending ending);
  void check_names(bool primary_was_killed);

  Ground& ground_;
  Book& book_;
  pid_t pids_[places] = {-1, -1, -1, -1, -1};
  bool was_killed_[places] = {};  // By this test: the process that is there now.
  unsigned wrong_ = 0;
};

}  // namespace vdset::soak
