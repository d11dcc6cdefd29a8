// tests/crash/runner.hpp: one run: a set's whole life in separately exec'ed programs, one of which
// is killed at one place; the others are watched to their ends and the books judged.
#pragma once
#include <sys/types.h>
#include <cstdint>
#include <string>
#include <vector>
#include "tests/crash/book.hpp"

namespace vdset::crash {

/// One kind of life.
struct Play {
  const char* name;
  Plan plan;
};
extern const std::vector<Play>& plays();

struct Spec {
  std::uint32_t play;
  Who victim;
  How how;
  std::uint64_t k;
  std::string program;
  std::string fault;  // CALL ERRNO EVER, for How::fault; a site, when only its accesses count.
  // The watchdog. The library waits up to 10 s for an answer that a failed system call has lost.
  double patience_seconds = how == How::fault ? 30 : 10;

  /// As VDSET_TEST_CRASH takes it.
  std::string text() const;
};

struct Outcome {
  bool reached = false;  // The victim was killed at its place; or the fault came.
  bool lived = false;    // The victim came to an end of its own.
  std::uint32_t phase = 0;
  std::uint32_t site = 0;      // core::Site, or a system call's number.
  std::uint64_t accesses = 0;  // Of a victim that lived.
  std::uint64_t at_work = 0;   // As in the book.
  double seconds = 0;
  std::string wrong;  // Empty: fine.
};

/// What a process needs to make runs: a directory, the book. Not for two threads.
class Runner {
 public:
  explicit Runner(std::string programs);
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  Outcome run(const Spec& spec);
  const Book& book() const { return *book_; }

 private:
  struct Process {
    pid_t pid = -1;
    bool started = false, ended = false;
    int status = 0;
  };

  void start(Who who);
  void start_what_is_due();
  bool is_due_successor(Who dead, Who next) const;
  bool is_served() const;
  bool was_killed(Who who) const;
  bool was_lost(Who who) const;
  void proceed(const Spec& spec);
  void let_others_act(double seconds);
  void hold(pid_t thread, std::uint64_t call);
  void reap();
  void note_stop(pid_t thread, int status);
  void kill_victim(std::uint64_t site);
  bool wait_for_news(double until);
  void end_all();
  bool all_ended() const;
  void check_after();
  void check_pins();
  void clear_directory() const;
  Process& at(Who who) { return processes_[static_cast<std::uint32_t>(who)]; }
  const Process& at(Who who) const { return processes_[static_cast<std::uint32_t>(who)]; }
  [[gnu::format(printf, 2, 3)]] void complain(const char* format, ...);

  std::string programs_;
  std::string directory_;
  int book_fd_ = -1;
  Book* book_ = nullptr;
  int progress_[2] = {-1, -1};
  int pins_[2] = {-1, -1};
  int signals_ = -1;
  const Spec* spec_ = nullptr;
  Process processes_[who_count];
  std::uint64_t calls_ = 0;
  bool traced_ = false;
  bool stopped_ = false;
  pid_t held_ = 0;  // A thread of the victim that its tracer lets stand.
  Outcome outcome_;
};

/// Judges the books of a run that has ended; adds to `wrong`. runner_judge.cpp.
struct Ends {
  bool killed[who_count];
  bool started[who_count];
  pid_t pid[who_count];
};
std::string judge(Book& book, const Ends& ends, bool faulty);

}  // namespace vdset::crash
