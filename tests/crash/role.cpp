// tests/crash/role.cpp: one role of one run, a program of its own: BOOK PROGRESS WHO HOW K
// DIRECTORY [CALL ERRNO EVER | SITE]. Over the whole library, whose accesses of shared memory and
// system calls are counted; ends by itself, or at the K-th.
#include "tests/crash/role.hpp"
#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include "abi/library.hpp"
#include "abi/wait.hpp"
#include "tests/support/faults.hpp"

namespace vdset::crash {
namespace {

thread_local bool is_main = false;

std::size_t count_entries(const char* path) {
  std::size_t count = 0;
  DIR* const dir = opendir(path);
  while (dir != nullptr && readdir(dir) != nullptr)
    ++count;
  if (dir != nullptr) closedir(dir);
  return count;
}

std::size_t count_parts() {
  std::size_t count = 0;
  char line[512];
  std::FILE* const maps = std::fopen("/proc/self/maps", "re");
  while (maps != nullptr && std::fgets(line, sizeof line, maps) != nullptr)
    count += std::strstr(line, "memfd:vdset") != nullptr ? 1 : 0;
  if (maps != nullptr) std::fclose(maps);
  return count;
}

/// One processor: no spinning, so that accesses are few and nearly the same in each run.
void stay_on_one_processor() {
  cpu_set_t mine;
  sched_getaffinity(0, sizeof mine, &mine);
  for (int i = CPU_SETSIZE - 1, kept = 0; i >= 0; --i)
    if (CPU_ISSET(i, &mine) && kept++ > 0) CPU_CLR(i, &mine);
  sched_setaffinity(0, sizeof mine, &mine);
}

/// Which phase an access belongs to: the main thread's, or the library thread's.
std::uint32_t present_phase(Book& book, Who who) {
  if (is_main) return book.of(who).phase;
  return static_cast<std::uint32_t>(book.dying > 0 ? Phase::recovery : Phase::watch);
}

Book* own_book = nullptr;
Who own_part = Who::count;
bool own_end_is_a_stop = false;

/// The last words, just before an access that is not made.
void write_last_words(core::Site site) {
  RoleBook& log = own_book->of(own_part);
  log.killed_phase = present_phase(*own_book, own_part);
  log.killed_site = static_cast<std::uint32_t>(site);
  if (!own_end_is_a_stop) ++own_book->dying;
}

core::Site site_named(const char* name) {
  for (const core::SiteRow& row : core::site_table)
    if (std::strcmp(row.name, name) == 0) return row.site;
  std::abort();
}

void log_line(std::uint32_t, const char* text, void*) {
  std::fprintf(stderr, "%d %s\n", getpid(), text);
}

port::Call armed_call = port::Call::count;

void arm_fault(char** words, std::uint32_t nth) {
  for (std::size_t i = 0; i < static_cast<std::size_t>(port::Call::count); ++i)
    if (std::strcmp(faults::name_of(static_cast<port::Call>(i)), words[0]) == 0) {
      armed_call = static_cast<port::Call>(i);
      return faults::arm({armed_call, std::atoi(words[1]), nth, std::atoi(words[2]) != 0});
    }
  std::abort();
}

void be_an_old_kernel() {
  faults::arm({port::Call::futex_waitv, ENOSYS, 1, true});
  faults::arm({port::Call::peerpidfd, ENOPROTOOPT, 1, true});
  faults::arm({port::Call::passrights, ENOPROTOOPT, 1, true});
  faults::arm({port::Call::future_write_seal, EINVAL, 1, true});
  faults::arm({port::Call::noexec_seal, EINVAL, 1, true});
}

}  // namespace

Self::Self(Book& book, Who who, int progress, const char* directory)
    : book_(book), who_(who), progress_(progress), directory_(directory) {}

void Self::announce(Cell& cell) {
  cell = 1;
  [[maybe_unused]] const ssize_t done = write(progress_, "x", 1);
}
void Self::begin_work() {
  log().at_work = std::max<std::uint64_t>(atomics.count(), 1);
}
void Self::complain(const char* format, ...) {
  char text[sizeof RoleBook::complaint];
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  ++log().complained;
  const std::size_t used = std::strlen(log().complaint);
  if (used + 2 + std::strlen(text) >= sizeof log().complaint) return;  // Whole ones.
  if (used > 0) std::strcat(log().complaint, "; ");
  std::strcat(log().complaint, text);
}
void Self::end(End how, std::int32_t code) {
  log().code = static_cast<std::uint32_t>(code);
  log().end = static_cast<std::uint32_t>(how);
}
void Self::end_aborted(const vdset_abort_reason& reason) {
  log().reason_role = reason.role;
  log().reason_pid = reason.pid;
  log().reason_call = reason.call;
  end(End::aborted, VDSET_E_ABORT);
}
void Self::die_in(std::uint64_t accesses) {
  own_end_is_a_stop = false;
  atomics.kill_with(SIGKILL);
  atomics.kill_at(atomics.count() + accesses);
}
bool Self::may_fail() const {
  return armed_call != port::Call::count && faults::failures(armed_call) > 0;
}

void wait_readable(int descriptor) {
  pollfd at{descriptor, POLLIN, 0};
  poll(&at, 1, -1);
}

void fill(void* data, std::size_t bytes, std::uint32_t seed) {
  auto* const words = static_cast<std::uint32_t*>(data);
  for (std::size_t i = 0; i < bytes / 4; ++i)
    words[i] = seed * 0x9E3779B1u + static_cast<std::uint32_t>(i);
}
bool is_filled(const void* data, std::size_t bytes, std::uint32_t seed) {
  const auto* const words = static_cast<const std::uint32_t*>(data);
  for (std::size_t i = 0; i < bytes / 4; ++i)
    if (words[i] != seed * 0x9E3779B1u + static_cast<std::uint32_t>(i)) return false;
  return true;
}

int run_role(int count, char** words) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (count < 7) return 2;
  void* const memory =
      mmap(nullptr, sizeof(Book), PROT_READ | PROT_WRITE, MAP_SHARED, std::atoi(words[1]), 0);
  if (memory == MAP_FAILED) return 3;
  Book& book = *static_cast<Book*>(memory);
  const auto who = static_cast<Who>(std::atoi(words[3]));
  const auto how = static_cast<How>(std::atoi(words[4]));
  const std::uint64_t k = std::strtoull(words[5], nullptr, 10);
  Self self(book, who, std::atoi(words[2]), words[6]);
  own_book = &book;
  own_part = who;
  is_main = true;
  stay_on_one_processor();
  library::readable_for_ever();  // The one that the library keeps.
  const std::size_t descriptors = count_entries("/proc/self/fd");
  self.log().pid = static_cast<std::uint32_t>(getpid());
  atomics.before_kill(write_last_words);
  if (how == How::access || how == How::stop) atomics.kill_at(k);
  own_end_is_a_stop = how == How::stop;
  if (own_end_is_a_stop) atomics.kill_with(SIGSTOP);
  if ((how == How::access || how == How::stop) && count >= 8)
    atomics.count_only(site_named(words[7]));
  if (std::getenv("VDSET_TEST_LOG") != nullptr)
    vdset_library_set_log(VDSET_LOG_DEBUG, log_line, nullptr);
  if (book.plan.fallbacks) be_an_old_kernel();
  if (how == How::fault && count >= 10) arm_fault(words + 7, static_cast<std::uint32_t>(k));
  if (how == How::call || how == How::hold) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);  // The tracer counts from here.
  }
  if (who == Who::server || who == Who::rescuer)
    run_server(self);
  else if (who == Who::primary)
    run_primary(self);
  else
    run_secondary(self);
  self.log().accesses = atomics.count();
  if (self.may_fail()) self.log().fault_came = 1;
  // Who closed its sockets under the library has closed that one, too.
  library::readable_for_ever();
  if (count_entries("/proc/self/fd") != descriptors) self.complain("descriptors are left");
  if (count_parts() != 0) self.complain("parts are mapped");
  return 0;
}

}  // namespace vdset::crash
