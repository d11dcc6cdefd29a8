// tests/model/test_ring_crash.cpp: a real consumer process is killed by SIGKILL at its k-th access
// of shared memory, for every k until one lives; the server sweeps, a second consumer goes on.
// After each: every command was called back exactly once, nothing hangs, nothing is mixed up.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <new>
#include <optional>
#include <thread>
#include "core/client_ring.hpp"
#include "core/doorbell.hpp"
#include "core/server_device.hpp"
#include "core/set_state.hpp"
#include "tests/model/counting.hpp"
#include "tests/support/lines.hpp"

namespace vdset::model {
namespace {

using std::uint32_t;

constexpr uint32_t depth = 4;
constexpr uint32_t total = 12;
constexpr uint32_t buffer_words = 16;
constexpr unsigned watchdog_seconds = 10;
constexpr std::uint64_t kill_points_max = 5000;
constexpr uint32_t first_index = 2, second_index = 3;
enum ExitCode : int { fine = 0, saw_wrong_data = 3, lost_its_command = 4 };

struct ClientMemory {
  core::ClientHeader header;
  support::Lines<depth> lines;
};

/// What parent and children share.
struct Region {
  core::DeviceRow row;
  core::SubmissionLine lines[depth];
  core::WakeWords wake;
  ClientMemory client[3];  // Of the first consumer; after its sweep; after a second sweep.
  uint32_t buffers[total][buffer_words];
};

constexpr uint32_t sent_data(uint32_t n) { return 0x5E000000u + n; }
constexpr uint32_t client_data(uint32_t n) { return 0xDA000000u + n; }

/// False: the watchdog's time is over. No slices: a lost wake shows.
bool futex_wait(const Word& word, uint32_t value) {
  const timespec limit{watchdog_seconds, 0};
  const long result =
      syscall(SYS_futex, &word.value, FUTEX_WAIT, value, &limit, nullptr, 0);
  return result == 0 || errno != ETIMEDOUT;
}
void futex_wake(const Word& word) {
  syscall(SYS_futex, &word.value, FUTEX_WAKE, 0x7fffffff, nullptr, nullptr, 0);
}

// ---- The consumer, a process ------------------------------------------------------------------

class Consumer {
 public:
  Consumer(Region& region, uint32_t part, uint32_t me, uint32_t head, std::uint64_t kill_at)
      : region_(region),
        ring_(region.lines, region.client[part].lines, region.client[part].header, me, head) {
    a_.kill_at(kill_at);
  }

  [[noreturn]] void run() {
    alarm(2 * watchdog_seconds);
    core::Taken taken{};
    while (fetch(taken)) {
      if (!work_on(taken)) _exit(saw_wrong_data);
      const auto completed = ring_.complete(a_, taken.line, taken.lap, taken.command.opcode,
                                            {core::code_success, taken.command.handle, 0});
      if (completed != core::Completed::done) _exit(lost_its_command);
      Word& bell = region_.wake.agent.event;
      if (!core::ring_bell(a_, bell)) continue;
      a_.step();
      futex_wake(bell);
    }
    _exit(fine);
  }

 private:
  /// False: the device is closed and the ring is empty.
  bool fetch(core::Taken& taken) {
    Word& bell = region_.wake.devices[0].event;
    for (;;) {
      const bool closed = is_closed();
      const core::Take take = ring_.take(a_, taken);
      if (take == core::Take::got) return true;
      if (take == core::Take::again) continue;
      if (take != core::Take::empty) _exit(lost_its_command);
      if (closed) return false;
      const uint32_t armed = core::arm_bell(a_, bell);
      if (!ring_.ready(a_) && !is_closed()) futex_wait(bell, armed);
      core::disarm_bell(a_, bell);
    }
  }

  bool is_closed() {
    const uint32_t word = a_.load<Site::device_read>(region_.row.device);
    return core::DeviceWord::unpack(word).state == core::DeviceState::closed;
  }

  bool work_on(const core::Taken& taken) {
    if (core::command_code(taken.command.opcode) == core::opcode_clear_error) return true;
    const uint32_t n = taken.command.handle;
    if (n >= total || taken.command.position != n) return false;
    // A command offered again may have been half done.
    for (const uint32_t word : region_.buffers[n])
      if (!taken.redelivered && word != sent_data(n)) return false;
    for (uint32_t& word : region_.buffers[n]) word = client_data(n);
    return true;
  }

  CountingAtomics a_;
  Region& region_;
  core::ClientRing<CountingAtomics> ring_;
};

/// How a child ended; learned by a thread that waits for it and rings the agent, as the library's.
class Child {
 public:
  Child(Region& region, uint32_t part, uint32_t me, uint32_t head, std::uint64_t kill_at) {
    pid_ = fork();
    if (pid_ == 0) Consumer(region, part, me, head, kill_at).run();
    watcher_ = std::thread([this, &region] {
      waitpid(pid_, &status_, 0);
      ended_ = true;
      core::RealAtomics a;
      core::force_bell(a, region.wake.agent.event);
      futex_wake(region.wake.agent.event);
    });
  }
  ~Child() { join(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void join() {
    if (watcher_.joinable()) watcher_.join();
  }
  void give_up() { kill(pid_, SIGKILL); }
  bool has_ended() const { return ended_; }
  bool was_killed() const { return WIFSIGNALED(status_) && WTERMSIG(status_) == SIGKILL; }
  bool is_fine() const { return WIFEXITED(status_) && WEXITSTATUS(status_) == fine; }

 private:
  pid_t pid_ = -1;
  int status_ = 0;
  std::atomic<bool> ended_{false};
  std::thread watcher_;
};

// ---- The server, this process -----------------------------------------------------------------

struct Outcome {
  bool first_was_killed = false;
  uint32_t completed = 0, aborted = 0, recalled = 0;
};

class Server {
 public:
  Server(Region& region, bool hand_over)
      : region_(region),
        hand_over_(hand_over),
        device_(core::ServerRing<core::RealAtomics>(region.lines, region.client[0].lines),
                region.client[0].header) {}

  /// One life of a device: the first consumer dies at its access `kill_at`, if it gets there.
  Outcome serve(std::uint64_t kill_at) {
    Child first(region_, 0, first_index, 0, kill_at);
    std::optional<Child> second;
    while (!is_over()) {
      send_more();
      if (poll()) continue;
      if (first.has_ended() && !second) {
        first.join();
        replace(second);
        continue;
      }
      if (second && second->has_ended()) break;
      if (!sleep([&] { return first.has_ended() && !second; })) {
        FAIL_CHECK("a wake was lost: nothing happened in 10 s");
        first.give_up();
        if (second) second->give_up();
        break;
      }
    }
    close();
    first.join();
    if (second) second->join();
    outcome_.first_was_killed = first.was_killed();
    CHECK((first.was_killed() || first.is_fine()));
    if (second) CHECK(second->is_fine());
    check_books();
    return outcome_;
  }

 private:
  bool is_over() const {
    return next_ == total && device_.outstanding_count() == 0 &&
           device_.phase() == core::DevicePhase::active;
  }

  void ring_device() {
    if (core::ring_bell(a_, region_.wake.devices[0].event))
      futex_wake(region_.wake.devices[0].event);
  }

  void send_more() {
    while (next_ < total && device_.phase() == core::DevicePhase::active) {
      for (uint32_t& word : region_.buffers[next_]) word = sent_data(next_);
      const core::Submission command{core::opcode_write, next_, 4096, next_};
      if (device_.send(a_, command, &callbacks_[next_]) != core::Sent::queued) return;
      ++next_;
      ring_device();
    }
    if (device_.phase() != core::DevicePhase::io_error || clear_is_out_) return;
    const core::Submission clear{core::opcode_clear_error, 0, 0, 0};
    const core::Sent sent = device_.send(a_, clear, &callbacks_[total]);
    CHECK((sent == core::Sent::queued || sent == core::Sent::held));
    clear_is_out_ = true;
    if (sent == core::Sent::queued) ring_device();
  }

  bool poll() {
    core::FinishedList list;
    device_.poll(a_, list);
    settle(list);
    return list.count > 0;
  }

  void settle(const core::FinishedList& list) {
    CHECK_FALSE(list.corrupt);
    for (uint32_t i = 0; i < list.count; ++i) call_back(list.items[i]);
    if (!list.ring_device) return;
    core::force_bell(a_, region_.wake.devices[0].event);
    futex_wake(region_.wake.devices[0].event);
  }

  void call_back(const core::Finished& item) {
    const auto n = static_cast<uint32_t>(static_cast<uint32_t*>(item.cookie) - callbacks_);
    ++callbacks_[n];
    if (n == total) {
      clear_is_out_ = false;
      return;
    }
    if (item.result.code == core::code_operation_aborted) ++outcome_.aborted;
    if (item.result.code == core::code_io_device) ++outcome_.recalled;
    if (item.result.code != core::code_success) return;
    ++outcome_.completed;
    CHECK(item.result.bytes == n);
    for (const uint32_t word : region_.buffers[n]) CHECK(word == client_data(n));
  }

  void replace(std::optional<Child>& second) {
    core::FinishedList list;
    device_.sweep(a_, hand_over_, region_.client[1].lines, region_.client[1].header, list);
    settle(list);
    for (uint32_t line = 0; line < depth; ++line)
      unswept_[line] = region_.client[1].lines.commands[line].command.value;
    sweep_again();
    second.emplace(region_, 2u, second_index, device_.ring().first_outstanding(),
                   std::uint64_t{0});
  }

  /// Recovery twice is recovery once: nothing ends anew, and the next consumer finds the same.
  void sweep_again() {
    const uint32_t first = device_.ring().first_outstanding(), count = device_.outstanding_count();
    core::FinishedList list;
    device_.sweep(a_, hand_over_, region_.client[2].lines, region_.client[2].header, list);
    CHECK(list.count == 0);
    CHECK(device_.ring().first_outstanding() == first);
    CHECK(device_.outstanding_count() == count);
    CHECK(region_.client[2].header.gate.value == region_.client[1].header.gate.value);
    for (uint32_t line = 0; line < depth; ++line) {
      const auto once = core::CommandWord::unpack(unswept_[line]);
      const auto& swept = region_.client[2].lines.commands[line];
      const auto twice = core::CommandWord::unpack(swept.command.value);
      CHECK(twice.generation == once.generation);
      // Recalled in the first fresh part, FAILED; final all the same in the second, IDLE.
      CHECK((twice.state == core::CommandState::offered) ==
            (once.state == core::CommandState::offered));
    }
  }

  template <class Ready>
  bool sleep(const Ready& ready) {
    Word& bell = region_.wake.agent.event;
    const uint32_t armed = core::arm_bell(a_, bell);
    const bool awake = ready() || device_.ring().any_final(a_) || futex_wait(bell, armed);
    core::disarm_bell(a_, bell);
    return awake;
  }

  void close() {
    core::publish_device(a_, region_.row, {core::DeviceState::closed, core::nobody, 1});
    core::force_bell(a_, region_.wake.devices[0].event);
    futex_wake(region_.wake.devices[0].event);
  }

  void check_books() {
    CHECK(next_ == total);
    for (uint32_t n = 0; n < total; ++n) CHECK(callbacks_[n] == 1);
    CHECK(outcome_.aborted <= (hand_over_ ? 0u : 1u));
    if (hand_over_) CHECK(outcome_.completed == total);
    CHECK(outcome_.completed + outcome_.aborted + outcome_.recalled == total);
  }

  core::RealAtomics a_;
  Region& region_;
  bool hand_over_;
  core::ServerDevice<core::RealAtomics> device_;
  uint32_t callbacks_[total + 1]{};
  uint32_t next_ = 0;
  bool clear_is_out_ = false;
  uint32_t unswept_[depth]{};  // The words of the fresh part before a second sweep took them back.
  Outcome outcome_;
};

/// Kills at 1, 2, 3 ... until a consumer lives to the end.
void kill_everywhere(bool hand_over) {
  void* const memory = mmap(nullptr, sizeof(Region), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  std::uint64_t k = 1;
  Outcome sum;
  for (; k < kill_points_max; ++k) {
    Region& region = *new (memory) Region{};
    const Outcome one = Server(region, hand_over).serve(k);
    sum.completed += one.completed;
    sum.aborted += one.aborted;
    sum.recalled += one.recalled;
    CAPTURE(k);
    if (!one.first_was_killed) break;
  }
  munmap(memory, sizeof(Region));
  std::printf("killed at each of %llu accesses, %s: %u completed, %u aborted, %u recalled\n",
              static_cast<unsigned long long>(k - 1), hand_over ? "handed over" : "failed",
              sum.completed, sum.aborted, sum.recalled);
  CHECK(k > std::uint64_t{total} * 20);
  CHECK(k < kill_points_max);
}

TEST_CASE("a consumer killed at any access: what it held fails, the rest goes on") {
  kill_everywhere(false);
}

TEST_CASE("a consumer killed at any access: what it held is handed to the next one") {
  kill_everywhere(true);
}

}  // namespace
}  // namespace vdset::model
