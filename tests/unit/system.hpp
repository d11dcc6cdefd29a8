// tests/unit/system.hpp: what tests over the real system share: counts of what a process holds,
// scratch directories, children, threads that are known to sleep. No test asserts a time.
#pragma once
#include <dirent.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace vdset::unit {

/// Ends a test that hangs: SIGALRM kills the program.
class Deadline {
 public:
  explicit Deadline(unsigned seconds = 10) { alarm(seconds); }
  ~Deadline() { alarm(0); }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
};

inline std::vector<std::string> entries_of(const std::string& path) {
  std::vector<std::string> names;
  DIR* const dir = opendir(path.c_str());
  if (dir == nullptr) return names;
  while (const dirent* entry = readdir(dir))
    if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0)
      names.emplace_back(entry->d_name);
  closedir(dir);
  return names;
}
/// Open descriptors of this process (the one that looks is not counted).
inline std::size_t descriptor_count() {
  return entries_of("/proc/self/fd").size() - 1;
}
inline std::size_t thread_count() {
  return entries_of("/proc/self/task").size();
}
/// A joined thread is listed for a moment longer: returns when there are so many.
inline void await_threads(std::size_t count) {
  while (thread_count() != count)
    sched_yield();
}
/// Mappings of this process that name `what`.
inline std::size_t mapping_count(const char* what) {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);)
    count += line.find(what) != std::string::npos ? 1 : 0;
  return count;
}
inline std::size_t part_mapping_count() {
  return mapping_count("memfd:vdset");
}

/// Bytes of address space that nobody may touch: guards and reservations of mappings. Sanitizers
/// reserve as they please: 0 under them.
inline std::size_t reserved_bytes() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return 0;
#endif
  std::ifstream maps("/proc/self/maps");
  std::size_t sum = 0;
  for (std::string line; std::getline(maps, line);) {
    unsigned long low = 0, high = 0;
    char rights[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &low, &high, rights) == 3 &&
        std::strcmp(rights, "---p") == 0)
      sum += high - low;
  }
  return sum;
}

/// A directory of one's own, mode 0700, removed with what is in it.
class Scratch {
 public:
  Scratch() {
    char name[] = "/tmp/vdset-unit-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~Scratch() {
    for (const std::string& name : entries())
      unlink((path_ + "/" + name).c_str());
    rmdir(path_.c_str());
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const char* path() const { return path_.c_str(); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  std::vector<std::string> entries() const { return entries_of(path_); }

 private:
  std::string path_;
};

/// A child process that runs `body` and ends with its result; killed with the object.
class Child {
 public:
  explicit Child(const std::function<int()>& body) {
    pid_ = fork();
    if (pid_ != 0) return;
    signal(SIGSEGV, SIG_DFL);
    signal(SIGBUS, SIG_DFL);
    alarm(30);
    _exit(body());
  }
  ~Child() { kill_and_wait(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  pid_t pid() const { return pid_; }
  /// Wait status.
  int wait() {
    int status = -1;
    while (pid_ > 0 && waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }
  int exit_code() {
    const int status = wait();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }
  int signal_of_death() {
    const int status = wait();
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  }
  void kill_and_wait() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    wait();
  }

 private:
  pid_t pid_;
};

/// One byte from one side to the other: "I am there".
struct Signpost {
  int ends[2] = {-1, -1};
  Signpost() { REQUIRE(pipe2(ends, O_CLOEXEC) == 0); }
  ~Signpost() {
    close(ends[0]);
    close(ends[1]);
  }
  Signpost(const Signpost&) = delete;
  Signpost& operator=(const Signpost&) = delete;
  void post() const {
    const char byte = 1;
    [[maybe_unused]] const ssize_t done = write(ends[1], &byte, 1);
  }
  bool await() const {
    char byte;
    ssize_t got;
    do {
      got = read(ends[0], &byte, 1);
    } while (got < 0 && errno == EINTR);
    return got == 1;
  }
};

/// Returns when the thread sleeps in the kernel (whoever calls makes sure that it will).
inline void await_sleep(pid_t process, pid_t thread) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/task/%d/stat", process, thread);
  for (;;) {
    std::ifstream file(path);
    std::string text;
    std::getline(file, text);
    const std::size_t end = text.rfind(')');
    if (end == std::string::npos || text[end + 2] == 'S') return;
    sched_yield();
  }
}

}  // namespace vdset::unit
