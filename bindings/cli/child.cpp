// child.cpp: fork, exec, kill, reap.
#include "child.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace cli {

namespace {

constexpr int exit_code_exec_failed = 127;
constexpr int parked_descriptor_min = 16;  // Out of the way of the descriptors a child expects.

/// Between fork and exec: async-signal-safe calls only.
[[noreturn]] void become_child(char* const* words, int control, int link, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(exit_code_exec_failed);
  // The terminal's Ctrl-C goes to the whole group, but the parent decides how a set ends.
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  ::signal(SIGTERM, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // dup2 clears close-on-exec, which is what these two need.
  ::dup2(control, control_descriptor);
  if (link >= 0) {
    ::dup2(link, link_descriptor);
  } else {
    ::close(link_descriptor);
  }
  ::close_range(link_descriptor + 1, ~0u, CLOSE_RANGE_CLOEXEC);
  ::execv("/proc/self/exe", words);
  ::_exit(exit_code_exec_failed);
}

char path_to_remove_at_end[4096];

void remove_and_exit(int) {
  remove_own_file();
  ::_exit(static_cast<int>(ExitCode::aborted));
}

}  // namespace

std::string Child::name() const {
  if (spec.device_index < 0) return fmt::format("the {} process (pid {})", spec.role, pid);
  return fmt::format("the {} process of device {} (pid {})", spec.role, spec.device_index, pid);
}

Child start_child(ChildSpec spec) {
  Child child;
  SocketPair pair = make_socket_pair();
  std::vector<std::string> texts = {"vdset", spec.command};
  for (std::string& word : spec.arguments.words())
    texts.push_back(std::move(word));
  std::vector<char*> words;
  for (std::string& text : texts)
    words.push_back(text.data());
  words.push_back(nullptr);
  const Descriptor control(::fcntl(pair.second.number(), F_DUPFD_CLOEXEC, parked_descriptor_min));
  const Descriptor link(spec.link_descriptor < 0 ? -1
                                                 : ::fcntl(spec.link_descriptor, F_DUPFD_CLOEXEC,
                                                           parked_descriptor_min));
  if (!control.is_open() || (spec.link_descriptor >= 0 && !link.is_open())) {
    // EINVAL: the limit of open files is below the number asked for.
    fail_errno(errno == EINVAL ? EMFILE : errno, "cannot start a process", spec.role);
  }
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) fail_errno(errno, "cannot start a process", spec.role);
  if (pid == 0) become_child(words.data(), control.number(), link.number(), parent);
  child.pid = pid;
  child.control = std::move(pair.first);
  child.spec = std::move(spec);
  child.spec.link_descriptor = -1;
  // Not reaped yet, so the number cannot mean anybody else.
  // By number: glibc 2.36 declares pidfd_open without extern "C".
  child.pid_descriptor = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!child.pid_descriptor.is_open()) {
    const int error_number = errno;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    fail_errno(error_number, "cannot watch a process", child.spec.role);
  }
  return child;
}

void reap_child(Child& child) {
  siginfo_t status = {};
  while (::waitid(P_PID, static_cast<id_t>(child.pid), &status, WEXITED) != 0) {
    if (errno != EINTR) break;
  }
  child.is_reaped = true;
  child.wait_code = status.si_code;
  child.wait_status = status.si_status;
}

void kill_child(Child& child) {
  if (child.is_reaped || child.pid <= 0) return;
  child.killed_by_us = true;
  ::kill(child.pid, SIGKILL);  // Not reaped: the number is still this child's.
}

SocketPair make_socket_pair() {
  int numbers[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, numbers) != 0) {
    fail_errno(errno, "cannot make a socket pair", "socketpair");
  }
  return {Descriptor(numbers[0]), Descriptor(numbers[1])};
}

void remove_own_file() {
  if (path_to_remove_at_end[0] != '\0') ::unlink(path_to_remove_at_end);
}

void begin_child(const char* process_name, const std::string& path_to_remove) {
  ::prctl(PR_SET_NAME, process_name);
  // The two inherited sockets are not for anybody this process might start.
  ::fcntl(control_descriptor, F_SETFD, FD_CLOEXEC);
  ::fcntl(link_descriptor, F_SETFD, FD_CLOEXEC);
  if (path_to_remove.size() < sizeof path_to_remove_at_end) {
    std::memcpy(path_to_remove_at_end, path_to_remove.c_str(), path_to_remove.size() + 1);
  }
  struct sigaction action = {};
  action.sa_handler = remove_and_exit;
  ::sigaction(SIGTERM, &action, nullptr);
}

}  // namespace cli
