// tests/crash/runner.cpp: see runner.hpp.
#include "tests/crash/runner.hpp"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vdset.h>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <new>
#include <stdexcept>

namespace vdset::crash {
namespace {

constexpr int call_stop = SIGTRAP | 0x80;  // With PTRACE_O_TRACESYSGOOD.

double now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  DIR* const dir = opendir(path.c_str());
  while (const dirent* entry = dir != nullptr ? readdir(dir) : nullptr)
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  if (dir != nullptr) closedir(dir);
  return names;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> words;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    if (end > at) words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

}  // namespace

const std::vector<Play>& plays() {
  static const std::vector<Play> all = {
      {"backup", {}},
      {"handed over", {.hand_over = true}},
      {"succession", {.secondary_dies = true}},
      {"succession, handed over", {.hand_over = true, .secondary_dies = true}},
      {"abort by server", {.aborter = Who::server}},
      {"abort by primary", {.aborter = Who::primary}},
      {"abort by secondary", {.aborter = Who::secondary}},
      {"polled", {.polling = true}},
      {"pulled", {.secondary_dies = true, .pulled = true}},
      {"descriptors", {.descriptors = true}},
      {"descriptors, succession", {.secondary_dies = true, .descriptors = true}},
      {"old kernel", {.fallbacks = true}},
      {"old kernel, succession", {.secondary_dies = true, .fallbacks = true}},
      {"read only", {.hand_over = true, .secondary_dies = true, .read_only = true}},
      {"server closes", {.aborter = Who::server, .closes = true}},
      {"primary closes", {.aborter = Who::primary, .closes = true}},
      {"secondary closes", {.aborter = Who::secondary, .closes = true}},
      {"secondary hangs up", {.aborter = Who::secondary, .hangs_up = true}},
      {"late successor", {.secondary_dies = true, .late_successor = true}},
  };
  return all;
}

std::string Spec::text() const {
  return std::to_string(play) + ":" + who_names[static_cast<std::uint32_t>(victim)] + ":" +
         how_names[static_cast<std::uint32_t>(how)] + ":" + std::to_string(k) +
         (fault.empty() ? "" : ":" + fault);
}

Runner::Runner(std::string programs) : programs_(std::move(programs)) {
  char name[] = "/tmp/vdset-crash-XXXXXX";
  if (mkdtemp(name) == nullptr) throw std::runtime_error("no directory to work in");
  directory_ = name;
  book_fd_ = memfd_create("book", 0);  // Inherited.
  if (ftruncate(book_fd_, sizeof(Book)) != 0) throw std::runtime_error("no memory for the book");
  void* const memory = mmap(nullptr, sizeof(Book), PROT_READ | PROT_WRITE, MAP_SHARED, book_fd_, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("no memory for the book");
  book_ = static_cast<Book*>(memory);
  if (pipe2(progress_, O_NONBLOCK) != 0) throw std::runtime_error("no pipe");
  fcntl(progress_[0], F_SETFD, FD_CLOEXEC);
  if (pipe2(pins_, O_NONBLOCK) != 0) throw std::runtime_error("no pipe");
  fcntl(pins_[0], F_SETFD, FD_CLOEXEC);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, nullptr);
  signals_ = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
}

Runner::~Runner() {
  clear_directory();
  rmdir(directory_.c_str());
  munmap(book_, sizeof(Book));
  for (const int fd : {book_fd_, progress_[0], progress_[1], pins_[0], pins_[1], signals_})
    close(fd);
}

void Runner::clear_directory() const {
  for (const std::string& name : names_in(directory_))
    unlink((directory_ + "/" + name).c_str());
}

void Runner::complain(const char* format, ...) {
  char text[600];
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  outcome_.wrong += (outcome_.wrong.empty() ? "" : "; ") + std::string(text);
}

void Runner::start(Who who) {
  const bool victim = who == spec_->victim;
  const std::string program =
      programs_ + "/" + (spec_->program.empty() ? "crash_role" : spec_->program);
  std::vector<std::string> words = {
      program,
      std::to_string(book_fd_),
      std::to_string(progress_[1]),
      std::to_string(static_cast<std::uint32_t>(who)),
      std::to_string(static_cast<std::uint32_t>(victim ? spec_->how : How::live)),
      std::to_string(spec_->k),
      directory_};
  for (const std::string& word : split(spec_->fault))
    words.push_back(word);
  std::vector<char*> pointers;
  for (std::string& word : words)
    pointers.push_back(word.data());
  pointers.push_back(nullptr);
  Process& process = at(who);
  process = {};
  process.started = true;
  process.pid = fork();
  if (process.pid == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    execv(pointers[0], pointers.data());
    _exit(127);
  }
  if (process.pid < 0) complain("fork: %s", std::strerror(errno));
  if (process.pid < 0) process.ended = true;
}

bool Runner::was_killed(Who who) const {
  return at(who).ended && WIFSIGNALED(at(who).status);
}

bool Runner::is_served() const {
  const Process& server = at(at(Who::rescuer).started ? Who::rescuer : Who::server);
  return !server.ended && !at(Who::primary).ended;
}

/// Killed, or kept out by a system call that failed in somebody.
bool Runner::was_lost(Who who) const {
  const RoleBook& log = book_->roles[static_cast<std::uint32_t>(who)];
  const bool refused = log.end == static_cast<std::uint32_t>(End::refused);
  const bool left = who == Who::secondary && log.end == static_cast<std::uint32_t>(End::left);
  return was_killed(who) || left || (at(who).ended && refused && spec_->how == How::fault);
}

bool Runner::is_due_successor(Who dead, Who next) const {
  const bool is_early =
      book_->plan.late_successor && next == Who::successor && book_->rows_checked == 0;
  return was_lost(dead) && !at(next).started && is_served() && !is_early;
}

void Runner::start_what_is_due() {
  if (!at(Who::server).started && (book_->created != 0 || at(Who::primary).ended))
    start(Who::server);
  if (!at(Who::secondary).started && book_->configured != 0) start(Who::secondary);
  // A server that was killed before it came in leaves the set to another.
  if (was_lost(Who::server) && !at(Who::rescuer).started) start(Who::rescuer);
  if (is_due_successor(Who::secondary, Who::successor)) start(Who::successor);
  if (is_due_successor(Who::successor, Who::heir)) start(Who::heir);
  // Nobody is left who could do the work, since a call fails for ever: the set is ended.
  const bool nobody_left = was_lost(Who::heir) || was_lost(Who::rescuer);
  if (spec_->how == How::fault && nobody_left && !at(Who::primary).ended)
    kill(at(Who::primary).pid, SIGKILL);
}

void Runner::kill_victim(std::uint64_t site) {
  RoleBook& log = book_->of(spec_->victim);
  log.killed_phase = log.phase.load();
  log.killed_site = static_cast<std::uint32_t>(site);
  ++book_->dying;
  kill(at(spec_->victim).pid, SIGKILL);
}

/// One thread of the victim stands at a system call, and the process it deals with is killed.
void Runner::hold(pid_t thread, std::uint64_t call) {
  RoleBook& log = book_->of(spec_->victim);
  log.killed_phase = log.phase.load();
  log.killed_site = static_cast<std::uint32_t>(call);
  held_ = thread;
  const Process& other = at(spec_->victim == Who::server ? Who::primary : Who::server);
  ++book_->dying;
  if (other.started && !other.ended) kill(other.pid, SIGKILL);
}

/// A thread of the traced victim stands: at a system call, at its birth, or for a signal.
void Runner::note_stop(pid_t thread, int status) {
  const int signal = WSTOPSIG(status);
  if (!traced_) {  // Its own SIGSTOP: counting begins.
    traced_ = true;
    ptrace(PTRACE_SETOPTIONS, thread, nullptr,
           PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL);
    ptrace(PTRACE_SYSCALL, thread, nullptr, nullptr);
    return;
  }
  if (signal == call_stop) {
    __ptrace_syscall_info info{};
    ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info);
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY && ++calls_ == spec_->k)
      return spec_->how == How::hold ? hold(thread, info.entry.nr) : kill_victim(info.entry.nr);
  }
  const bool own = signal == call_stop || signal == SIGTRAP || signal == SIGSTOP;
  ptrace(PTRACE_SYSCALL, thread, nullptr, own ? 0 : signal);
}

void Runner::reap() {
  int status = 0;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | WUNTRACED | __WALL)) > 0;) {
    if (WIFSTOPPED(status) && spec_->how == How::stop) {
      stopped_ = true;
      continue;
    }
    if (WIFSTOPPED(status)) {
      note_stop(pid, status);
      continue;
    }
    for (Process& process : processes_)
      if (process.started && !process.ended && process.pid == pid) {
        process.ended = true;
        process.status = status;
      }
  }
}

/// False: nothing happened until then.
bool Runner::wait_for_news(double until) {
  const double left = until - now();
  if (left <= 0) return false;
  pollfd at[2] = {{signals_, POLLIN, 0}, {progress_[0], POLLIN, 0}};
  if (poll(at, 2, static_cast<int>(left * 1000) + 1) <= 0) return true;
  signalfd_siginfo info;
  while (read(signals_, &info, sizeof info) > 0) {
  }
  char bytes[64];
  while (read(progress_[0], bytes, sizeof bytes) > 0) {
  }
  return true;
}

bool Runner::all_ended() const {
  for (const Process& process : processes_)
    if (process.started && !process.ended) return false;
  return true;
}

void Runner::end_all() {
  for (std::uint32_t i = 0; i < who_count; ++i) {
    Process& process = processes_[i];
    if (!process.started || process.ended) continue;
    complain("%s hangs in phase %s", who_names[i],
             phase_names[book_->roles[i].phase % phase_count]);
    kill(process.pid, SIGKILL);
  }
  while (!all_ended()) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, __WALL);
    for (Process& process : processes_)
      if (process.started && process.pid == pid && !WIFSTOPPED(status)) process.ended = true;
  }
}

/// The name serves again, and nothing is left.
void Runner::check_after() {
  const std::size_t left = names_in(directory_).size();
  // Close without the directory's lock leaves them to the next Create, too.
  const bool may_leave = was_killed(Who::primary) || spec_->how == How::fault;
  if (left > (may_leave ? 2u : 0u)) complain("%zu nodes are left", left);
  vdset_config config{};
  config.struct_bytes = sizeof config;
  config.device_count = 1;
  vdset_set_options options{};
  options.struct_bytes = sizeof options;
  options.directory = directory_.c_str();
  vdset_set* set = nullptr;
  if (vdset_set_create(set_name, &config, &options, &set) != VDSET_OK)
    complain("the name cannot be used again: %s", vdset_last_error());
  else if (vdset_set_close(set) != VDSET_OK)
    complain("the new set cannot be closed: %s", vdset_last_error());
  if (!names_in(directory_).empty()) complain("nodes are left by the next set");
}

/// Pages that a dead secondary had pinned are nobody's but the kernel's: what came into the buffers
/// after its death is not in them.
void Runner::check_pins() {
  unsigned char page[small_bytes];
  while (read(pins_[0], page, sizeof page) == static_cast<ssize_t>(sizeof page))
    if (page[0] == last_byte && page[small_bytes - 1] == last_byte)
      complain("a buffer still has the pages that a dead process had pinned");
}

void Runner::let_others_act(double seconds) {
  const double until = now() + seconds;
  while (!all_ended() && wait_for_news(until)) {
    reap();
    start_what_is_due();
  }
}

/// A process that stands goes on after a moment in which the others may do what they can.
void Runner::proceed(const Spec& spec) {
  constexpr double moment = 0.004;
  let_others_act(moment);
  outcome_.reached = true;
  if (stopped_) kill(at(spec.victim).pid, SIGCONT);
  if (held_ != 0) ptrace(PTRACE_SYSCALL, held_, nullptr, nullptr);
  stopped_ = false;
  held_ = 0;
}

Outcome Runner::run(const Spec& spec) {
  spec_ = &spec;
  outcome_ = {};
  calls_ = 0;
  traced_ = stopped_ = false;
  held_ = 0;
  std::memset(static_cast<void*>(book_), 0, sizeof(Book));
  book_->plan = plays()[spec.play].plan;
  book_->pin_fd = pins_[1];
  for (Process& process : processes_)
    process = {};
  const double begin = now();
  const double limit = begin + spec.patience_seconds;
  start(Who::primary);
  while (!all_ended()) {
    if (!wait_for_news(limit)) {
      end_all();
      break;
    }
    reap();
    start_what_is_due();
    if (stopped_ || held_ != 0) proceed(spec);
  }
  outcome_.seconds = now() - begin;
  RoleBook& log = book_->of(spec.victim);
  outcome_.phase = log.killed_phase;
  outcome_.site = log.killed_site;
  outcome_.accesses = log.accesses;
  outcome_.at_work = log.at_work;
  outcome_.reached = was_killed(spec.victim) || outcome_.reached || log.fault_came != 0;
  outcome_.lived = at(spec.victim).ended && WIFEXITED(at(spec.victim).status) && log.end != 0;
  Ends ends{};
  for (std::uint32_t i = 0; i < who_count; ++i) {
    const Process& process = processes_[i];
    ends.started[i] = process.started;
    ends.pid[i] = process.pid;
    ends.killed[i] = process.started && WIFSIGNALED(process.status);
    if (ends.killed[i] && WTERMSIG(process.status) != SIGKILL)
      complain("%s crashes with signal %d", who_names[i], WTERMSIG(process.status));
    if (process.started && WIFEXITED(process.status) && WEXITSTATUS(process.status) != 0)
      complain("%s ends with exit code %d", who_names[i], WEXITSTATUS(process.status));
  }
  const std::string books = judge(*book_, ends, spec.how == How::fault);
  if (!books.empty()) complain("%s", books.c_str());
  check_pins();
  check_after();
  return outcome_;
}

}  // namespace vdset::crash
