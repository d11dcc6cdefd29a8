// tests/support/process.cpp: see process.hpp.
#include "tests/support/process.hpp"
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include "tests/support/skip.hpp"

namespace process {
namespace {

using Clock = std::chrono::steady_clock;

std::string join_words(const std::vector<std::string>& words, const char* between) {
  std::string out;
  for (const std::string& word : words)
    out += (out.empty() ? "" : between) + word;
  return out;
}

int milliseconds_until(Clock::time_point end) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
  return left > 0 ? static_cast<int>(left) : 0;
}

Clock::time_point watchdog_end() {
  return Clock::now() + std::chrono::milliseconds(watchdog_ms);
}

/// `ok key=value ...` or `error CODE text`; the field `text` reaches to the end of the line.
Answer parse_answer(const std::string& line) {
  Answer answer;
  std::size_t at = line.find(' ');
  if (line.substr(0, at) != "ok") {
    const std::size_t code = at + 1;
    at = line.find(' ', code);
    answer.error = line.substr(code, at == std::string::npos ? at : at - code);
    if (at != std::string::npos) answer.text = line.substr(at + 1);
    return answer;
  }
  while (at != std::string::npos) {
    const std::size_t begin = at + 1;
    const std::size_t equals = line.find('=', begin);
    if (equals == std::string::npos) break;
    const std::string key = line.substr(begin, equals - begin);
    at = key == "text" ? std::string::npos : line.find(' ', equals);
    answer.fields[key] = line.substr(equals + 1, at == std::string::npos ? at : at - equals - 1);
  }
  return answer;
}

std::string own_folder() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path().string();
}

/// The environment of a role: the driver's, with its own meeting directory.
std::vector<std::string> environment_with(const std::string& directory) {
  std::vector<std::string> out{"VDSET_RUNTIME_DIR=" + directory};
  for (char** at = environ; *at != nullptr; ++at)
    if (std::strncmp(*at, "VDSET_RUNTIME_DIR=", 18) != 0) out.emplace_back(*at);
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (std::string& word : words)
    out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

}  // namespace

const std::string& Answer::at(std::string_view key) const {
  const auto found = fields.find(key);
  REQUIRE_MESSAGE(found != fields.end(), "no field '" << std::string(key) << "'; " << error);
  return found->second;
}
std::uint64_t Answer::number(std::string_view key) const {
  return std::strtoull(at(key).c_str(), nullptr, 0);
}
std::int64_t Answer::signed_number(std::string_view key) const {
  return std::strtoll(at(key).c_str(), nullptr, 0);
}

// ---- Role ---------------------------------------------------------------------------------------

Role::Role(Stage& stage, std::string name, const std::string& program, const User& user)
    : stage_(stage), name_(std::move(name)) {
  int to[2], from[2];
  REQUIRE(pipe2(to, O_CLOEXEC) == 0);
  REQUIRE(pipe2(from, O_CLOEXEC) == 0);
  std::vector<std::string> words{own_folder() + "/" + program, name_};
  if (user.uid != 0)
    words.insert(words.end(), {std::to_string(user.uid), std::to_string(user.gid), user.groups});
  if (user.in_namespace) words.push_back("namespace");
  std::vector<std::string> environment = environment_with(stage.directory());
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to[0], 0);
  posix_spawn_file_actions_adddup2(&actions, from[1], 1);
  const int error = posix_spawn(&pid_, words[0].c_str(), &actions, nullptr, pointers(words).data(),
                                pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  close(to[0]);
  close(from[1]);
  to_ = to[1];
  from_ = from[0];
  REQUIRE_MESSAGE(error == 0, words[0] << ": " << std::strerror(error));
  pidfd_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  REQUIRE(pidfd_ >= 0);
  fcntl(from_, F_SETFL, O_NONBLOCK);
}

Role::~Role() {
  if (!reaped_ && pid_ > 0) {
    ::kill(pid_, SIGKILL);
    waitpid(pid_, &status_, 0);
  }
  close(to_);
  close(from_);
  close(pidfd_);
}

void Role::give_up(const std::string& why) {
  std::string words = "role " + name_ + ": " + why;
  for (const auto& [lane, command] : waiting_)
    words += "\n  waits on lane " + lane + ": " + command;
  throw std::runtime_error(words);
}

void Role::send(const std::string& line) {
  const std::string whole = line + "\n";
  if (write(to_, whole.data(), whole.size()) != static_cast<ssize_t>(whole.size()))
    give_up("does not take commands any more");
}

void Role::take_lines() {
  for (;;) {
    const std::size_t end = received_.find('\n');
    if (end == std::string::npos) return;
    const std::string line = received_.substr(0, end);
    received_.erase(0, end + 1);
    const std::size_t blank = line.find(' ');
    if (line.empty() || line[0] != '@' || blank == std::string::npos) give_up("says: " + line);
    const std::string lane = line.substr(1, blank - 1);
    waiting_.erase(lane);
    Answer answer = parse_answer(line.substr(blank + 1));
    note_addresses(answer);
    answers_[lane] = std::move(answer);
  }
}

void Role::note_addresses(const Answer& answer) {
  for (const char* key : {"buffer", "address"})
    if (const auto found = answer.fields.find(key); found != answer.fields.end())
      stage_.note_address(pid_, std::strtoull(found->second.c_str(), nullptr, 0));
}

bool Role::read_some(int timeout_ms) {
  pollfd waiting{from_, POLLIN, 0};
  if (poll(&waiting, 1, timeout_ms) <= 0) return false;
  char bytes[4096];
  const ssize_t got = read(from_, bytes, sizeof bytes);
  if (got == 0) {
    reap(watchdog_ms);
    give_up("ended, status " + std::to_string(status_));
  }
  if (got > 0) received_.append(bytes, static_cast<std::size_t>(got));
  take_lines();
  return true;
}

void Role::start(const std::string& lane, const std::string& command) {
  if (waiting_.count(lane) != 0) give_up("lane " + lane + " is busy");
  answers_.erase(lane);
  waiting_[lane] = command;
  send("@" + lane + " " + command);
}

Answer Role::wait(const std::string& lane) {
  const auto end = watchdog_end();
  while (answers_.count(lane) == 0)
    if (!read_some(milliseconds_until(end)) && Clock::now() >= end)
      give_up("the watchdog barked at lane " + lane);
  Answer answer = answers_[lane];
  answers_.erase(lane);
  return answer;
}

bool Role::answered(const std::string& lane) {
  while (answers_.count(lane) == 0 && read_some(0))
    continue;
  return answers_.count(lane) != 0;
}

Answer Role::call(const std::string& command) {
  start("0", command);
  return wait("0");
}

static void require_ok(const std::string& role, const std::string& what, const Answer& answer) {
  REQUIRE_MESSAGE(answer.ok(), role << ": " << what << ": " << answer.error << " " << answer.text);
}
static void check_refused(const std::string& role, const std::string& what, const Answer& answer,
                          const std::string& code) {
  CHECK_MESSAGE(answer.error == code, role << ": " << what << ": got '" << answer.error << "' "
                                           << answer.text << ", expected " << code);
}

Answer Role::ok(const std::string& command) {
  Answer answer = call(command);
  require_ok(name_, command, answer);
  return answer;
}
Answer Role::refuse(const std::string& command, const std::string& code) {
  Answer answer = call(command);
  check_refused(name_, command, answer, code);
  return answer;
}
Answer Role::wait_ok(const std::string& lane) {
  Answer answer = wait(lane);
  require_ok(name_, "lane " + lane, answer);
  return answer;
}
Answer Role::wait_refused(const std::string& lane, const std::string& code) {
  Answer answer = wait(lane);
  check_refused(name_, "lane " + lane, answer, code);
  return answer;
}

Answer Role::until(const std::string& command, const std::string& code) {
  const auto end = watchdog_end();
  for (;;) {
    Answer answer = call(command);
    if (answer.error == code) return answer;
    if (Clock::now() >= end)
      give_up(command + ": never '" + code + "', last '" + answer.error + "' " + answer.text);
  }
}

void Role::until_asleep(const std::string& lane) {
  const auto end = watchdog_end();
  while (ok("asleep " + lane).number("asleep") == 0)
    if (Clock::now() >= end) give_up("lane " + lane + " does not sleep");
}

void Role::signal(int number) {
  REQUIRE(::kill(pid_, number) == 0);
}

void Role::stop() {
  signal(SIGSTOP);
  siginfo_t what{};
  REQUIRE(waitid(P_PID, static_cast<id_t>(pid_), &what, WSTOPPED) == 0);
}
void Role::proceed() {
  signal(SIGCONT);
}

void Role::reap(int timeout_ms) {
  if (reaped_) return;
  pollfd end{pidfd_, POLLIN, 0};
  if (poll(&end, 1, timeout_ms) != 1) give_up("does not end");
  REQUIRE(waitpid(pid_, &status_, 0) == pid_);
  reaped_ = true;
}

void Role::kill() {
  signal(SIGKILL);
  reap(watchdog_ms);
  waiting_.clear();
}

void Role::expect_end() {
  reap(watchdog_ms);
  waiting_.clear();
  CHECK_MESSAGE((WIFEXITED(status_) && WEXITSTATUS(status_) == 0),
                name_ << " ended with status " << status_);
}

void Role::expect_death(int number) {
  reap(watchdog_ms);
  waiting_.clear();
  CHECK_MESSAGE((WIFSIGNALED(status_) && WTERMSIG(status_) == number),
                name_ << " ended with status " << status_ << ", expected signal " << number);
}

bool can_unshare() {
  const pid_t child = fork();
  if (child == 0) _exit(unshare(CLONE_NEWPID) == 0 ? 0 : 1);
  int status = 0;
  waitpid(child, &status, 0);
  const bool can = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (!can) support::skip("this process may not make pid namespaces");
  return can;
}

// ---- LastSteps ----------------------------------------------------------------------------------

/// A child of this process in the role's namespace, whose first process the role is: that one waits
/// in its exit until nobody has a number in there, and a number is had until it is waited for.
[[noreturn]] static void live_in(const std::string& space, int ready, int told) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int fd = open(space.c_str(), O_RDONLY | O_CLOEXEC);
  const pid_t child = setns(fd, CLONE_NEWPID) == 0 ? fork() : -1;
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;)
      pause();
  }
  char byte = child > 0 ? 1 : 0;
  if (write(ready, &byte, 1) == 1) (void)read(told, &byte, 1);
  if (child > 0) ::kill(child, SIGKILL);
  if (child > 0) waitpid(child, nullptr, 0);
  _exit(0);
}

LastSteps::LastSteps(const Role& role) {
  int ready[2], told[2];
  REQUIRE(pipe2(ready, O_CLOEXEC) == 0);
  REQUIRE(pipe2(told, O_CLOEXEC) == 0);
  helper_ = fork();
  if (helper_ == 0) {
    close(told[1]);
    live_in("/proc/" + std::to_string(role.pid()) + "/ns/pid_for_children", ready[1], told[0]);
  }
  close(ready[1]);
  close(told[0]);
  told_ = told[1];
  char byte = 0;
  const bool there = read(ready[0], &byte, 1) == 1 && byte == 1;
  close(ready[0]);
  REQUIRE(there);
}

void LastSteps::finish() {
  if (helper_ < 0) return;
  close(told_);
  waitpid(helper_, nullptr, 0);
  helper_ = -1;
}

// ---- Stage --------------------------------------------------------------------------------------

Stage::Stage() {
  char path[] = "/tmp/vdset-process-XXXXXX";
  REQUIRE(mkdtemp(path) != nullptr);
  directory_ = path;
}

Stage::~Stage() {
  roles_.clear();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

Role& Stage::add(const std::string& name, const User& user) {
  // With a fault to force, the twin of the library whose system calls fail.
  const char* const program = std::getenv("VDSET_FAULT") != nullptr ? "role_faults" : "role";
  return *roles_.emplace_back(std::make_unique<Role>(*this, name, program, user));
}

Role& Stage::add_from(const std::string& name, const std::string& program, const User& user) {
  return *roles_.emplace_back(std::make_unique<Role>(*this, name, program, user));
}

void Stage::set_directory(unsigned mode, unsigned uid, unsigned gid) const {
  REQUIRE(chown(directory_.c_str(), uid, gid) == 0);
  REQUIRE(chmod(directory_.c_str(), mode) == 0);
}

std::vector<std::string> Stage::nodes() const {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(directory_))
    out.push_back(entry.path().filename().string());
  return out;
}

void Stage::note_address(pid_t pid, std::uint64_t address) {
  if (address == 0) return;
  const auto [at, added] = addresses_.emplace(address, pid);
  const bool own = at->second == pid;
  if (!own)
    FAIL_CHECK("a buffer lies at " << address << " in processes " << pid << " and " << at->second);
}

// ---- What many tests begin and end with ---------------------------------------------------------

std::string device_name(const std::string& set, unsigned i) {
  return i == 0 ? set : set + "." + std::to_string(i);
}

std::string device_names(const std::string& set, unsigned first, unsigned end) {
  std::vector<std::string> names;
  for (unsigned i = first; i < end; ++i)
    names.push_back(device_name(set, i));
  return join_words(names, ",");
}

void configure(Role& server, Role& primary, const std::string& set, const Plan& plan) {
  primary.ok("create " + set + " devices=" + std::to_string(plan.devices) + " " + plan.create);
  server.ok("server-open " + set + " " + plan.open);
  server.ok("begin " + plan.begin);
  for (const std::string& request : plan.requests)
    server.ok("request " + request);
  server.ok("end");
  primary.ok("configuration -1");
}

void activate(Role& server, const std::string& set, unsigned devices) {
  for (unsigned i = 0; i < devices; ++i)
    server.ok("name " + device_name(set, i));
  server.start("agent", "run-agent");
}

void finish(Role& server, Role& primary, const std::string& set, unsigned devices) {
  for (unsigned i = 0; i < devices; ++i)
    server.ok("close-device device=" + device_name(set, i));
  server.wait_ok("agent");
  server.ok("server-close");
  primary.call("close");  // OPEN when a device was not read to its CLOSE.
}

void bury(Role& server, Role& primary) {
  server.call("server-close");
  if (server.is_busy("agent")) server.wait("agent");
  primary.call("close");
}

}  // namespace process
