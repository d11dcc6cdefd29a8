// tests/process/role.cpp: lanes, words, answers, and who the process runs as.
#include "tests/process/role.hpp"
#include <grp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <sstream>
#include <thread>

namespace role {

// Never destroyed: a forked child that exits must not wait for threads that it does not have.
Objects& objects = *new Objects;

namespace {

std::mutex output_lock;
Verbs verbs;

void print_line(const std::string& line) {
  const std::lock_guard guard(output_lock);
  const std::string whole = line + "\n";
  std::size_t done = 0;
  while (done < whole.size()) {
    const ssize_t wrote = write(1, whole.data() + done, whole.size() - done);
    if (wrote <= 0) _exit(3);  // The driver is gone.
    done += static_cast<std::size_t>(wrote);
  }
}

/// One thread that takes commands in order.
class Lane {
 public:
  explicit Lane(std::string name) : name_(std::move(name)), thread_([this] { run(); }) {
    thread_.detach();  // The process ends with _exit.
  }
  void give(const std::string& line) {
    const std::lock_guard guard(lock_);
    lines_.push_back(line);
    changed_.notify_one();
  }
  std::int64_t thread() const { return id_.load(); }
  bool in_call() const { return in_call_.load(); }

 private:
  std::string next() {
    std::unique_lock guard(lock_);
    changed_.wait(guard, [this] { return !lines_.empty(); });
    const std::string line = lines_.front();
    lines_.pop_front();
    return line;
  }
  void run() {
    id_.store(thread_number());
    for (;;) {
      const Words words(next());
      const auto verb = verbs.find(words.verb());
      in_call_.store(true);
      const std::string answer =
          verb != verbs.end() ? verb->second(words) : mistake("no verb " + words.verb());
      in_call_.store(false);
      print_line("@" + name_ + " " + answer);
    }
  }

  std::string name_;
  std::mutex lock_;
  std::condition_variable changed_;
  std::deque<std::string> lines_;
  std::atomic<std::int64_t> id_{0};
  std::atomic<bool> in_call_{false};
  std::thread thread_;
};

std::mutex lanes_lock;
auto& lanes = *new std::map<std::string, std::unique_ptr<Lane>>;  // As objects.

Lane& lane_named(const std::string& name) {
  const std::lock_guard guard(lanes_lock);
  auto& lane = lanes[name];
  if (lane == nullptr) lane = std::make_unique<Lane>(name);
  return *lane;
}

/// Third letter group of /proc/self/task/TID/stat: S while the thread sleeps.
bool is_thread_asleep(std::int64_t thread) {
  char path[64], text[256] = {};
  std::snprintf(path, sizeof path, "/proc/self/task/%lld/stat", static_cast<long long>(thread));
  std::FILE* const file = std::fopen(path, "re");
  if (file == nullptr) return false;
  const std::size_t got = std::fread(text, 1, sizeof text - 1, file);
  std::fclose(file);
  const char* const end = got > 0 ? std::strrchr(text, ')') : nullptr;
  return end != nullptr && end[1] == ' ' && end[2] == 'S';
}

/// Moves where the next mappings come to lie, so that no two roles have the same addresses even
/// where the system does not scatter them.
bool shift_addresses() {
  std::uint32_t random = 0;
  if (getrandom(&random, sizeof random, 0) != sizeof random) return false;
  constexpr std::size_t unit = 65536;
  constexpr std::uint32_t units = sizeof(void*) == 8 ? 1u << 20 : 1u << 12;
  const std::size_t bytes = unit * (1 + random % units);
  return mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) !=
         MAP_FAILED;
}

bool become(const char* uid, const char* gid, const std::string& groups) {
  std::vector<gid_t> list;
  std::istringstream in(groups);
  for (std::string one; std::getline(in, one, ',');)
    list.push_back(static_cast<gid_t>(std::stoul(one)));
  return setgroups(list.size(), list.data()) == 0 &&
         setgid(static_cast<gid_t>(std::atoi(gid))) == 0 &&
         setuid(static_cast<uid_t>(std::atoi(uid))) == 0;
}

}  // namespace

Words::Words(const std::string& line) {
  std::istringstream in(line);
  in >> verb_;
  for (std::string word; in >> word;) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos)
      words_.push_back(word);
    else
      options_[word.substr(0, equals)] = word.substr(equals + 1);
  }
}

std::int64_t Words::number(std::size_t i, std::int64_t otherwise) const {
  return i < words_.size() ? std::strtoll(words_[i].c_str(), nullptr, 0) : otherwise;
}
std::string Words::rest(std::size_t i) const {
  std::string out;
  for (; i < words_.size(); ++i)
    out += (out.empty() ? "" : " ") + words_[i];
  return out;
}
std::string Words::option(const std::string& key, const std::string& otherwise) const {
  const auto at = options_.find(key);
  return at == options_.end() ? otherwise : at->second;
}
std::int64_t Words::option_number(const std::string& key, std::int64_t otherwise) const {
  const auto at = options_.find(key);
  return at == options_.end() ? otherwise : std::strtoll(at->second.c_str(), nullptr, 0);
}
std::vector<std::string> Words::list(const std::string& key) const {
  std::vector<std::string> out;
  std::istringstream in(option(key));
  for (std::string one; std::getline(in, one, ',');)
    out.push_back(one);
  return out;
}

std::string ok() {
  return "ok";
}
std::string ok(const char* format, ...) {
  char text[1024];
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return std::string("ok ") + text;
}
std::string refused(std::int32_t code) {
  return std::string("error ") + vdset_error_name(code) + " " + vdset_last_error();
}
std::string described(std::int32_t code, const vdset_buffer& buffer) {
  if (code != VDSET_OK) return refused(code);
  return ok("number=%u data=%u prefix=%u read_only=%u", buffer.number, buffer.data_bytes,
            buffer.prefix_bytes, buffer.read_only);
}
std::string described(const vdset_loss& l) {
  return ok("number=%u count=%u call=%u pid=%u devices=%u commands=%u handed_over=%u device=%s",
            l.number, l.count, l.call, l.pid, l.devices, l.commands, l.handed_over, l.device);
}
std::string mistake(const std::string& why) {
  return "error MISTAKE " + why;
}

vdset_set* set_of(const Words& w) {
  return find(objects.sets, w.option("set"));
}
vdset_device* device_of(const Words& w) {
  return find(objects.devices, w.option("device"));
}
vdset_server* server_of(const Words& w) {
  return find(objects.servers, w.option("server"));
}
vdset_server_device* server_device_of(const Words& w) {
  return find(objects.server_devices, w.option("device"));
}

void* address_of(const std::string& text) {
  return reinterpret_cast<void*>(
      static_cast<std::uintptr_t>(std::strtoull(text.c_str(), nullptr, 0)));
}
std::int64_t thread_number() {
  return syscall(SYS_gettid);
}

int is_lane_asleep(const std::string& name) {
  const Lane& lane = lane_named(name);
  if (!lane.in_call() || lane.thread() == 0) return 0;
  return is_thread_asleep(lane.thread()) && lane.in_call() ? 1 : 0;
}

static std::uint64_t scatter(std::uint64_t x) {  // SplitMix64.
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}
void fill(void* to, std::size_t bytes, std::uint64_t seed) {
  auto* const words = static_cast<std::uint64_t*>(to);
  for (std::size_t i = 0; i < bytes / 8; ++i)
    words[i] = scatter(seed * 0x10001u + i);
}
bool is_filled(const void* from, std::size_t bytes, std::uint64_t seed) {
  const auto* const words = static_cast<const std::uint64_t*>(from);
  for (std::size_t i = 0; i < bytes / 8; ++i)
    if (words[i] != scatter(seed * 0x10001u + i)) return false;
  return true;
}

/// Goes on as the first process of a pid namespace; the process before waits for its end.
static bool enter_namespace() {
  if (unshare(CLONE_NEWPID) != 0) return false;
  const pid_t child = fork();
  if (child < 0) return false;
  if (child > 0) {
    int status = 0;
    waitpid(child, &status, 0);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 7);
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  return true;
}

static int run(int count, char** arguments) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // A driver that dies takes its roles with it.
  if (count == 3 && std::strcmp(arguments[2], "namespace") == 0 && !enter_namespace()) return 8;
  if (!shift_addresses()) return 4;
  if (count >= 5) {
    if (!become(arguments[2], arguments[3], arguments[4])) return 5;
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // The change of user cleared it.
  }
  add_client_verbs(verbs);
  add_server_verbs(verbs);
  add_work_verbs(verbs);
  add_check_verbs(verbs);
  add_race_verbs(verbs);
  if (std::getenv("VDSET_ROLE_EXEC") != nullptr) print_line("@exec ok");
  for (std::string line; std::getline(std::cin, line);) {
    const std::size_t blank = line.find(' ');
    if (line.empty() || line[0] != '@' || blank == std::string::npos) return 6;
    lane_named(line.substr(1, blank - 1)).give(line.substr(blank + 1));
  }
  return 0;
}

}  // namespace role

int main(int count, char** arguments) {
  _exit(role::run(count, arguments));  // Not exit: lanes may still be inside calls.
}
