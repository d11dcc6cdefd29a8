// tests/crash/soak_life.cpp: see soak_life.hpp.
#include "tests/crash/soak_life.hpp"
#include <dirent.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <vdset.h>
#include <algorithm>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include "tests/crash/thread_state.hpp"

namespace vdset::soak {
namespace {

std::vector<std::string> names_in(const char* path) {
  std::vector<std::string> names;
  DIR* const dir = opendir(path);
  while (const dirent* entry = dir != nullptr ? readdir(dir) : nullptr)
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  if (dir != nullptr) closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

/// Where a set is made without a directory given; none may come up there.
std::vector<std::string> shared_names() {
  std::vector<std::string> names;
  for (const std::string& name : names_in("/dev/shm"))
    if (name.find("vdset") != std::string::npos) names.push_back(name);
  return names;
}

}  // namespace

Ground::Ground(const char* program) : program_(program), shared_names_(shared_names()) {
  char name[] = "/tmp/vdset-soak-XXXXXX";
  if (mkdtemp(name) == nullptr) throw std::runtime_error("no directory to work in");
  directory_ = name;
  fd_ = memfd_create("soak", 0);  // Inherited.
  if (ftruncate(fd_, sizeof(Book)) != 0) throw std::runtime_error("no memory");
  void* const memory = mmap(nullptr, sizeof(Book), PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("no memory");
  book_ = static_cast<Book*>(memory);
  // The library's own thread and descriptors come with the first set, and stay.
  vdset_config config{};
  config.struct_bytes = sizeof config;
  config.device_count = 1;
  vdset_set_options options{};
  options.struct_bytes = sizeof options;
  options.directory = directory_.c_str();
  vdset_set* set = nullptr;
  if (vdset_set_create(set_name, &config, &options, &set) == VDSET_OK) vdset_set_close(set);
  descriptors_ = names_in("/proc/self/fd").size();
}

Ground::~Ground() {
  rmdir(directory_.c_str());
  munmap(book_, sizeof(Book));
  close(fd_);
}

unsigned Ground::nodes() const {
  return static_cast<unsigned>(names_in(directory_.c_str()).size());
}

std::string Ground::leaks() const {
  std::string found;
  const std::size_t now = names_in("/proc/self/fd").size();
  if (now != descriptors_)
    found += std::to_string(now) + " descriptors after " + std::to_string(descriptors_) + "; ";
  for (const std::string& name : shared_names())
    if (!std::binary_search(shared_names_.begin(), shared_names_.end(), name))
      found += "/dev/shm/" + name + "; ";
  if (nodes() != 0) found += std::to_string(nodes()) + " nodes; ";
  return found;
}

Life::Life(Ground& ground) : ground_(ground), book_(ground.book()) {
  // Only what the last life used.
  std::memset(static_cast<void*>(&book_), 0, offsetof(Book, entries));
  std::memset(static_cast<void*>(book_.entries), 0, sizeof(Entry) * ground.used);
  ground.used = ids_max;  // Should this life not be judged.
}

Life::~Life() {
  for (const pid_t pid : pids_)
    if (pid > 0) kill(pid, SIGKILL);
  for (const pid_t pid : pids_)
    if (pid > 0) waitpid(pid, nullptr, 0);
}

void Life::begin(bool hand_over, unsigned server_mib) {
  book_.hand_over = hand_over;
  start(primary);
  until("create", [&] { return book_.created != 0; });
  start(server, server_mib);
  until("configure", [&] { return book_.configured != 0; });
  start(first);
  start(second);
  start(worker);
}

void Life::start(Place place, unsigned mib) {
  constexpr Kind kinds[places] = {Kind::server, Kind::primary, Kind::secondary, Kind::secondary,
                                  Kind::worker};
  const std::string words[] = {ground_.program(),
                               std::to_string(ground_.book_fd()),
                               std::to_string(static_cast<std::uint32_t>(kinds[place])),
                               std::to_string(place == second  ? 2
                                              : place == first ? 1
                                                               : 0),
                               ground_.directory(),
                               std::to_string(mib)};
  std::vector<char*> pointers;
  for (const std::string& word : words)
    pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  was_killed_[place] = false;
  pids_[place] = fork();
  if (pids_[place] == 0) {
    execv(pointers[0], pointers.data());
    _exit(127);
  }
  if (pids_[place] < 0) throw std::runtime_error("fork");
}

std::uint64_t Life::kill_one(Place place) {
  if (place == server || place == primary) book_.ending = 1;
  was_killed_[place] = true;
  const std::uint64_t at = now_ns();
  kill(pids_[place], SIGKILL);
  return at;
}

/// By itself and well, or by the signal that this test sent to it.
void Life::judge_end(Place place, int status) {
  const int pid = pids_[place];
  pids_[place] = -1;
  if (WIFSIGNALED(status) && !(WTERMSIG(status) == SIGKILL && was_killed_[place]))
    complain("place %d, process %d: ended by signal %d, which this test did not send", place, pid,
             WTERMSIG(status));
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
    complain("place %d, process %d: exit code %d", place, pid, WEXITSTATUS(status));
  if (WIFEXITED(status) && was_killed_[place] && book_.stop == 0 && book_.complaints == 0)
    complain("place %d, process %d: ended by itself in the middle of a set", place, pid);
}

void Life::reap(Place place) {
  int status = 0;
  if (waitpid(pids_[place], &status, 0) != pids_[place]) return complain("place %d: none", place);
  judge_end(place, status);
}

void Life::kill_all() {
  book_.ending = 1;
  // Stopped first: else some would hear of the others' deaths and end by themselves.
  for (const int signal : {SIGSTOP, SIGKILL})
    for (const pid_t pid : pids_)
      if (pid > 0) kill(pid, signal);
  std::fill(std::begin(was_killed_), std::end(was_killed_), true);
}

void Life::check_all_killed(Sum& sum) {
  ground_.used = std::min<std::uint32_t>(book_.next_id, ids_max);
  ++sum.all_killed;
  const unsigned before = wrong_;
  check_names(true);
  const std::string leaks = ground_.leaks();
  if (!leaks.empty()) complain("all were killed, and left: %s", leaks.c_str());
  sum.left_something += wrong_ != before ? 1 : 0;
  sum.passed += wrong_ == 0;
  sum.wrong += wrong_ != 0;
}

void Life::reap_all() {
  for (int p = 0; p < places; ++p) {
    int status = 0;
    const std::uint64_t limit = now_ns() + watchdog_ns;
    while (pids_[p] > 0 && waitpid(pids_[p], &status, WNOHANG) == 0) {
      if (now_ns() > limit) return complain("a survivor hangs (place %d)", p);
      usleep(100);
    }
    if (pids_[p] > 0) judge_end(static_cast<Place>(p), status);
  }
}

void Life::check(Ending ending, Sum& sum) {
  ground_.used = std::min<std::uint32_t>(book_.next_id, ids_max);
  sum.commands += ground_.used;
  Judged& of_kind = sum.judged[ending];
  ++of_kind.lives;
  of_kind.heard_abort += book_.heard_abort;
  std::uint64_t unjudged = 0;
  for (std::uint32_t id = 0; id < ground_.used; ++id)
    unjudged += check_entry(id, ending, sum) ? 0 : 1;
  // Beyond what was sent nobody may have done anything: wrong ids would land there.
  for (std::uint32_t id = ground_.used; id < std::min(ground_.used + 1000, ids_max); ++id)
    if (book_.entries[id].fetched != 0 || book_.entries[id].callbacks != 0)
      complain("command %u was never sent, and came", id);
  const std::uint64_t excused = ending == server_killed ? lanes * window : 0;
  if (unjudged > excused) {
    complain("%llu commands came to no end", static_cast<unsigned long long>(unjudged));
    sum.lost += unjudged - excused;
  }
  of_kind.judged += ground_.used - unjudged;
  of_kind.unjudged += unjudged;
  sum.looked_for_leaks += book_.looked_for_leaks;
  check_ends(ending);
  check_names(ending == primary_killed);
  sum.passed += wrong_ == 0;
  sum.wrong += wrong_ != 0;
}

/// True: it is known how it ended.
bool Life::check_entry(std::uint32_t i, Ending ending, Sum& sum) {
  const Entry& e = book_.entries[i];
  const bool has_ended = e.callbacks != 0;
  // Whoever was killed: at most once, and nothing that was not sent, fetched or begun before.
  if (e.callbacks > 1) complain("command %u ended %u times", i, e.callbacks.load());
  if (e.completed > 1) complain("command %u was completed twice", i);
  if (e.fetched > 1 + e.redelivered) complain("command %u was delivered twice", i);
  sum.doubled += e.callbacks > 1 || e.completed > 1 || e.fetched > 1 + e.redelivered ? 1 : 0;
  if (e.completing > e.fetched) complain("command %u: done more often than fetched", i);
  if (e.completed > e.completing) complain("command %u: completed, never begun", i);
  if (e.sent == 0 && (e.fetched != 0 || has_ended)) complain("command %u was never sent", i);
  if (has_ended && e.code == 0 && e.completing == 0) complain("command %u: nobody did it", i);
  if (has_ended && e.code != 0 && e.code != 995 && e.code != 1117)
    complain("command %u ended with %u", i, e.code.load());
  if (e.redelivered != 0 && book_.hand_over == 0)
    complain("command %u was redelivered without hand-over", i);
  sum.well += has_ended && e.code == 0;
  sum.failed += e.code == 995;
  sum.recalled += e.code == 1117;
  sum.handed_over += e.fetched > 1;
  if (!has_ended && ending != server_killed) complain("command %u came to no end", i);
  if (ending != by_itself) return has_ended;
  if (e.completed == 1 && e.code != 0) complain("command %u: completed, but failed", i);
  if (e.code != 0 && book_.hand_over != 0) complain("command %u failed, not handed over", i);
  return has_ended;
}

void Life::check_ends(Ending ending) {
  if (book_.complaints != 0)
    complain("%u complaints: %s", book_.complaints.load(), book_.complaint);
  if (ending == by_itself) {
    if (book_.server_result != server_closed) complain("the set did not end well");
    if (book_.buffers_left != 0) complain("%u buffers are lost", book_.buffers_left.load());
    if (book_.heard_abort != 0) complain("a client heard of an abort");
    return;
  }
  if (book_.heard_close != 0) complain("a client heard CLOSE from a set that was aborted");
  if (ending == primary_killed && book_.server_result != server_aborted)
    complain("the server did not hear of the primary's end");
  if (ending == server_killed && book_.server_result != 0) complain("a dead server has an end");
  if (book_.heard_abort == 0) complain("no client heard of the abort");
}

void Life::check_names(bool primary_was_killed) {
  if (ground_.nodes() > (primary_was_killed ? 2u : 0u))
    complain("%u nodes are left", ground_.nodes());
  vdset_config config{};
  config.struct_bytes = sizeof config;
  config.device_count = 1;
  vdset_set_options options{};
  options.struct_bytes = sizeof options;
  options.directory = ground_.directory().c_str();
  vdset_set* set = nullptr;
  if (vdset_set_create(set_name, &config, &options, &set) != VDSET_OK)
    return complain("the name cannot be used again: %s", vdset_last_error());
  vdset_set_close(set);
  if (ground_.nodes() != 0) complain("%u nodes are left by the next set", ground_.nodes());
}

void Life::complain_of_stall(const char* what) {
  std::string now;
  for (std::uint32_t i = 0; i < lanes; ++i) {
    const LaneBook& lane = book_.lane[i];
    now += "; lane " + std::to_string(i) + ": served " + std::to_string(lane.served) + ", held " +
           std::to_string(lane.held) + ", under way " + std::to_string(lane.under_way) +
           (lane.in_error == 2   ? ", ClearError sent"
            : lane.in_error == 1 ? ", waits for ClearError"
                                 : "");
  }
  now += "; states";  // R: it waits for a processor.
  for (const pid_t pid : pids_)
    now += std::string(" ") + thread_state(pid, pid);
  complain("nothing happens in a minute: %s; %u commands sent%s", what, book_.next_id.load(),
           now.c_str());
}

void Life::complain(const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  if (wrong_++ < 5) {
    std::printf("FAIL ");
    std::vprintf(format, arguments);
    std::printf("\n");
  }
  va_end(arguments);
}

}  // namespace vdset::soak
