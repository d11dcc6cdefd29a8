// tests/unit/test_faults.cpp
// Goal: whichever system call fails, once or from then on, no call of the library crashes or hangs;
// each fails with a code and words or copes; after all is closed nothing is left and the name is
// free.
// Method: fault_scenario.cpp in a forked child per run, a watchdog in each; call by call the N-th
// use fails, N = 1, 2, 3 ... until a run in which it is not reached. Without VDSET_TEST_DEEP=1 a
// chain of many N is thinned out after its beginning; what was left out is printed. One run alone:
// VDSET_TEST_FAULT=call:errno:n:once|ever[:trio].
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <malloc.h>
#include <cerrno>
#include <map>
#include <new>
#include "abi/include/vdset.h"
#include "abi/library.hpp"
#include "abi/names.hpp"
#include "tests/support/faults.hpp"
#include "tests/support/options.hpp"
#include "tests/unit/fault_scenario.hpp"
#include "tests/unit/system.hpp"

using namespace vdset;
using namespace vdset::unit;
using port::Call;

namespace {

enum class How { once, ever };

/// One chain of runs: this call, failing this way, at use 1, 2, 3 ...
struct Chain {
  Call call;
  int error;
  How how;
  bool harmless;  // The library has a way around it.
  Call also;      // Fails for ever from its first use, so that the call is reached; or Call::count.
  bool trio;      // With a secondary.
  std::uint32_t nth = 1;
};

struct Kind {
  Call call;
  int error;
  bool once, ever;
  bool harmless;
  Call also;
};
const Kind kinds[] = {
    {Call::memfd_create, EMFILE, true, true, false, Call::count},
    {Call::ftruncate, ENOMEM, true, true, false, Call::count},
    {Call::fallocate, ENOSPC, true, true, false, Call::count},
    {Call::fallocate, EINTR, true, false, true, Call::count},
    {Call::mmap, ENOMEM, true, true, false, Call::count},
    {Call::seal, EPERM, true, true, false, Call::count},
    {Call::futex_wait, EINTR, true, false, true, Call::count},
    {Call::futex_wait, EAGAIN, true, false, true, Call::count},
    {Call::futex_waitv, ENOSYS, true, true, true, Call::count},
    {Call::open, EMFILE, true, true, false, Call::count},
    {Call::lock, ENOLCK, true, true, false, Call::count},
    {Call::lock, EINTR, true, false, false, Call::count},
    {Call::socket, EMFILE, true, true, false, Call::count},
    {Call::bind, ENOSPC, true, true, false, Call::count},
    {Call::listen, EADDRINUSE, true, true, false, Call::count},
    {Call::connect, ECONNREFUSED, true, true, false, Call::count},
    {Call::connect, EAGAIN, true, false, true, Call::count},
    {Call::connect, EINTR, true, false, true, Call::count},
    {Call::accept, ECONNABORTED, true, false, true, Call::count},
    {Call::socketpair, EMFILE, true, true, false, Call::count},
    {Call::sendmsg, ENOBUFS, true, true, false, Call::count},
    {Call::sendmsg, EAGAIN, true, false, false, Call::count},
    {Call::sendmsg, EINTR, true, false, true, Call::count},
    {Call::recvmsg, ENOMEM, true, true, false, Call::count},
    {Call::recvmsg, EAGAIN, true, false, false, Call::count},
    {Call::recvmsg, EINTR, true, false, true, Call::count},
    {Call::peercred, EINVAL, true, true, false, Call::count},
    {Call::peerpidfd, ENOPROTOOPT, true, true, true, Call::count},
    {Call::passrights, ENOPROTOOPT, true, true, true, Call::count},
    {Call::pidfd_open, EMFILE, true, true, false, Call::peerpidfd},
    {Call::epoll_create, EMFILE, true, true, false, Call::count},
    {Call::epoll_ctl, ENOMEM, true, true, false, Call::count},
    {Call::epoll_wait, EINTR, true, false, true, Call::count},
    {Call::eventfd, EMFILE, true, true, false, Call::count},
    {Call::thread_create, EAGAIN, true, true, false, Call::count},
    {Call::robust_list, ENOSYS, true, true, false, Call::count},
    {Call::getrandom, EIO, true, true, false, Call::count},
    {Call::future_write_seal, EINVAL, true, true, true, Call::count},
    {Call::noexec_seal, EINVAL, true, true, true, Call::count},
    // Last, so started first: the library waits its 10 s for an answer.
    {Call::accept, EMFILE, true, true, false, Call::count},
};

bool deep() {
  const char* const given = std::getenv("VDSET_TEST_DEEP");
  return given != nullptr && std::atoi(given) != 0;
}

struct Slot {
  Report report;
  bool reached;  // The N-th use came, so the next N is worth a run.
};

/// Lets the C library make what it keeps for itself: stacks of threads, one arena; and this library
/// the one descriptor that it keeps.
void warm_up() {
  mallopt(M_ARENA_MAX, 1);
  std::atomic<int> there{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i)
    threads.emplace_back([&there] {
      ++there;
      while (there < 6)
        sched_yield();
    });
  for (std::thread& thread : threads)
    thread.join();
  library::readable_for_ever();
}

/// Without those that the library keeps for good.
std::size_t own_descriptors() { return descriptor_count() - library::kept_descriptors(); }

/// The whole of a child: one life with one fault.
void run(Slot& slot, const Chain& chain) {
  Scratch place;
  Report& report = slot.report;
  std::snprintf(report.directory, sizeof report.directory, "%s", place.path());
  report.retry = chain.how == How::once;
  report.harmless = chain.harmless;
  report.is_exhaustion = chain.call == Call::open || chain.call == Call::socket;
  warm_up();
  const std::size_t descriptors = own_descriptors(), threads = thread_count();
  const std::size_t reserved = reserved_bytes();
  faults::reset();
  if (chain.also != Call::count) faults::arm({chain.also, ENOPROTOOPT, 1, true});
  faults::arm({chain.call, chain.error, chain.nth, chain.how == How::ever});
  run_life(report, chain.trio);
  slot.reached = faults::failures(chain.call) > 0;
  faults::disarm();
  if (own_descriptors() != descriptors)
    report.complain("%zd descriptors are left. ", ssize_t(own_descriptors() - descriptors));
  // Where no poll set can be changed, each of three leaves its own and asks for another.
  if (library::kept_descriptors() > 1u + (chain.call == Call::epoll_ctl ? 2 * 3 : 0))
    report.complain("%u descriptors are kept. ", library::kept_descriptors());
  await_threads(threads);
  if (part_mapping_count() != 0) report.complain("%zu parts are mapped. ", part_mapping_count());
  if (reserved_bytes() != reserved)
    report.complain("%zd reserved bytes are left. ", ssize_t(reserved_bytes() - reserved));
  check_name_is_free(report);
}

class Driver {
 public:
  Driver() {
    void* const memory = mmap(nullptr, sizeof(Slot) * places, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    slots_ = static_cast<Slot*>(memory);
  }
  ~Driver() { munmap(slots_, sizeof(Slot) * places); }
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  void add(const Chain& chain) { waiting_.push_back(chain); }
  void drive() {
    while (!waiting_.empty() || !running_.empty()) {
      for (int i = 0; i < places && !waiting_.empty(); ++i)
        if (!busy_[i]) start(i);
      collect();
    }
  }
  void print_summary() const {
    std::printf("faults: %u runs, %u left out, %u failed\n", runs_, left_out_, failed_);
  }

 private:
  static constexpr int places = 6;
  static constexpr unsigned watchdog_seconds = 45;  // The library's own bounds are 5 and 10 s.

  void start(int place) {
    const Chain chain = waiting_.back();
    waiting_.pop_back();
    Slot& slot = *new (&slots_[place]) Slot{};
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      alarm(watchdog_seconds);
      run(slot, chain);
      _exit(0);
    }
    REQUIRE(child > 0);
    busy_[place] = true;
    running_[child] = {place, chain};
  }

  void collect() {
    int status = 0;
    const pid_t child = wait(&status);
    REQUIRE(running_.contains(child));
    auto [place, chain] = running_[child];
    running_.erase(child);
    busy_[place] = false;
    ++runs_;
    const bool reached = judge(slots_[place], chain, status);
    if (!reached) return;
    // Every N at the start of a chain, then every third.
    const std::uint32_t stride = deep() || chain.nth < 24 ? 1 : 3;
    left_out_ += stride - 1;
    chain.nth += stride;
    if (chain.how == How::ever && !deep() && chain.nth > 24) return;
    waiting_.push_back(chain);
  }

  bool judge(const Slot& slot, const Chain& chain, int status) {
    const Report& report = slot.report;
    const bool exited = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    const bool hung = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    const bool sound = exited && report.complaints == 0;
    if (sound) return slot.reached;
    ++failed_;
    const std::string replay = std::string(faults::name_of(chain.call)) + ":" +
                               std::to_string(chain.error) + ":" + std::to_string(chain.nth) +
                               (chain.how == How::once ? ":once" : ":ever") +
                               (chain.trio ? ":trio" : "");
    const std::string why = hung ? "hangs. " : exited ? "" : "crashes. ";
    CHECK_MESSAGE(sound, "VDSET_TEST_FAULT=", replay, ": ", why, report.words,
                  "[failed: ", report.steps, "]");
    return exited ? slot.reached : chain.nth < 100;
  }

  Slot* slots_ = nullptr;
  bool busy_[places] = {};
  std::vector<Chain> waiting_;
  std::map<pid_t, std::pair<int, Chain>> running_;
  unsigned runs_ = 0, left_out_ = 0, failed_ = 0;
};

/// VDSET_TEST_FAULT: one run in this process, for a debugger.
bool replay_one() {
  const char* const given = std::getenv("VDSET_TEST_FAULT");
  if (given == nullptr) return false;
  const std::string text = given;
  Chain chain{Call::count, 0, How::once, false, Call::count, false};
  char how[8] = {};
  const std::size_t colon = text.find(':');
  for (std::size_t i = 0; i < static_cast<std::size_t>(Call::count); ++i)
    if (text.substr(0, colon) == faults::name_of(static_cast<Call>(i)))
      chain.call = static_cast<Call>(i);
  REQUIRE(chain.call != Call::count);
  REQUIRE(std::sscanf(given + colon, ":%d:%u:%4s", &chain.error, &chain.nth, how) == 3);
  chain.how = std::strcmp(how, "once") == 0 ? How::once : How::ever;
  chain.trio = text.find(":trio") != std::string::npos;
  if (chain.call == Call::pidfd_open) chain.also = Call::peerpidfd;
  Slot slot{};
  run(slot, chain);
  std::printf("reached %d, finished %d\nfailed: %s\nwrong: %s\n", slot.reached,
              slot.report.finished, slot.report.steps, slot.report.words);
  CHECK(slot.report.complaints == 0);
  return true;
}

/// A set of this process, for faults that need more than a life of a set.
struct OwnSet {
  Scratch place;
  vdset_set* set = nullptr;
  vdset_join_options join{};

  OwnSet() {
    const auto config = support::wish_for(1);
    const auto options = support::meeting_in<vdset_set_options>(place.path());
    REQUIRE(vdset_set_create("own", &config, &options, &set) == VDSET_OK);
    join = support::meeting_in<vdset_join_options>(place.path());
  }
  ~OwnSet() {
    faults::disarm();
    vdset_set_close(set);
  }
  OwnSet(const OwnSet&) = delete;
  OwnSet& operator=(const OwnSet&) = delete;

  /// A connection that says nothing.
  int connect_silently() {
    Name name;
    REQUIRE(read_name("own", 3, name));
    Found found = find_name(name, place.path(), port::deadline_after(1'000'000'000));
    REQUIRE(found.result == VDSET_OK);
    port::close_descriptor(found.directory.descriptor);
    return found.socket;
  }
  bool can_be_opened() {
    vdset_server* server = nullptr;
    if (vdset_server_open("own", &join, &server) != VDSET_OK) return false;
    vdset_server_close(server);
    return true;
  }
};

/// Returns when the call was used so often since the last reset.
void await_uses(Call call, std::uint32_t count) {
  while (faults::uses(call) < count)
    sched_yield();
}

}  // namespace

TEST_CASE("a plan fails the N-th use, once or from then on, and counts all uses") {
  faults::reset();
  faults::arm({Call::listen, EMFILE, 3, false});
  for (int use : {1, 2, 3, 4, 5})
    CHECK(port::next_fault(Call::listen) == (use == 3 ? EMFILE : 0));
  CHECK(port::next_fault(Call::bind) == 0);
  CHECK(faults::uses(Call::listen) == 5);
  CHECK(faults::failures(Call::listen) == 1);
  faults::reset();
  faults::arm({Call::listen, ENOMEM, 2, true});
  faults::arm({Call::bind, EPERM, 1, false});
  for (int use : {1, 2, 3, 4})
    CHECK(port::next_fault(Call::listen) == (use >= 2 ? ENOMEM : 0));
  CHECK(port::next_fault(Call::bind) == EPERM);
  CHECK(port::next_fault(Call::bind) == 0);
  faults::disarm();
  CHECK(port::next_fault(Call::listen) == 0);
  faults::reset();
  CHECK(faults::uses(Call::listen) == 0);
}

TEST_CASE("one life of a set in one process, every system call failing at every use") {
  if (replay_one()) return;
  Driver driver;
  for (bool trio : {false, true})
    for (const Kind& kind : kinds) {
      if (kind.ever) driver.add({kind.call, kind.error, How::ever, kind.harmless, kind.also, trio});
      if (kind.once) driver.add({kind.call, kind.error, How::once, kind.harmless, kind.also, trio});
    }
  driver.drive();
  driver.print_summary();
}

TEST_CASE("out of descriptors: the listener listens again, though a waiting connection ended") {
  Deadline guard(30);
  faults::reset();
  OwnSet own;
  int first = own.connect_silently();
  await_uses(Call::accept, 1);
  faults::arm({Call::accept, EMFILE, 2, false});
  int second = own.connect_silently();
  await_uses(Call::accept, 2);
  port::close_descriptor(first);  // While the listener takes its pause.
  CHECK(own.can_be_opened());
  port::close_descriptor(second);
}

TEST_CASE("out of descriptors: the listener tries again when it cannot be watched at once") {
  Deadline guard(30);
  faults::reset();
  OwnSet own;
  faults::arm({Call::accept, EMFILE, 1, false});
  faults::arm({Call::epoll_ctl, ENOMEM, faults::uses(Call::epoll_ctl) + 1, false});
  int first = own.connect_silently();
  await_uses(Call::accept, 1);
  CHECK(own.can_be_opened());
  port::close_descriptor(first);
}

TEST_CASE("a part that is cut and sealed while it is judged is refused") {
  constexpr std::uint64_t bytes = 65536;
  int part = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  REQUIRE(part >= 0);
  REQUIRE(ftruncate(part, bytes) == 0);
  // The peer's move comes just before the seals are read.
  faults::act(
      Call::get_seals,
      [](void* of) {
        const int fd = *static_cast<int*>(of);
        if (ftruncate(fd, 0) == 0)
          fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
      },
      &part);
  CHECK(port::memory_judge(part, bytes, port::Seal::fixed_size) == -EINVAL);
  CHECK(port::memory_size(part) == 0);
  faults::disarm();
  port::close_descriptor(part);
}
