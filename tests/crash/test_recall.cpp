// tests/crash/test_recall.cpp: a device error races GetCommand, on real processors, over the
// production headers: one thread fetches while another completes a fetched command with an error
// and, as the server, recalls what is queued. Each command is either delivered or recalled, never
// both; each ClearError arrives, and the device goes on. The two wait for each other before each
// race and linger for a random time before they exchange a word, so that many races end in the
// middle: some commands delivered, some recalled. These are counted and required.
//
//   test_recall [mutant]
// mutant: recall stores its word instead of exchanging it, which must be found.
// VDSET_TEST_DEEP=N   N times 10^7 errors instead of 50,000
#include <sched.h>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include "core/client_ring.hpp"
#include "core/server_device.hpp"
#include "tests/support/lines.hpp"

namespace vdset {
namespace {

using core::Site;
using core::Word;

constexpr std::uint32_t depth = 8;
constexpr std::uint32_t code_of_client = 21;
constexpr std::uint32_t client = 2;
constexpr std::uint32_t linger_max = 64;

class Random {
 public:
  explicit Random(std::uint32_t seed) : state_(seed) {}
  std::uint32_t below(std::uint32_t limit) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return state_ % limit;
  }

 private:
  std::uint32_t state_;
};

void linger(std::uint32_t steps) {
  for (volatile std::uint32_t left = steps; left > 0;)
    left = left - 1;
}

/// The production policy, which lingers for a random time between the looks at a command's word and
/// its exchange: fetching, and recalling.
template <bool mutant>
class LingeringAtomics : public core::RealAtomics {
 public:
  explicit LingeringAtomics(std::uint32_t seed) : random_(seed) {}

  template <Site site>
  bool compare_exchange(Word& word, std::uint32_t& expected, std::uint32_t desired) {
    if constexpr (site == Site::take_cas || site == Site::recall_cas)
      if (random_.below(2) == 0) linger(random_.below(linger_max));
    if constexpr (mutant && site == Site::recall_cas) {
      core::RealAtomics::store<site>(word, desired);
      return true;
    }
    return core::RealAtomics::compare_exchange<site>(word, expected, desired);
  }

 private:
  Random random_;
};

/// Waits for another thread; gives way only when that seems to have no processor.
template <class F>
void until(F done) {
  for (std::uint32_t looks = 0; !done();)
    if (++looks % 16384 == 0) std::this_thread::yield();
}

/// Each thread on a processor of its own, where there are two: else one runs while the other waits.
void stay_on(unsigned nth) {
  cpu_set_t allowed, own;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  CPU_ZERO(&own);
  for (unsigned cpu = 0, seen = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed) && seen++ == nth) CPU_SET(cpu, &own);
  if (CPU_COUNT(&own) != 0) sched_setaffinity(0, sizeof own, &own);
}

struct Sums {
  std::uint64_t errors = 0, split = 0, delivered = 0, recalled = 0, cleared = 0, wrong = 0;
};

/// What became of one command of a round.
struct Ticket {
  std::atomic<std::uint32_t> delivered{0};
  std::uint32_t ended = 0, recalled = 0;
};

template <class A>
class Race {
 public:
  explicit Race(std::uint64_t errors) : errors_due_(errors) {}

  /// Until all errors have been raced for, or something is wrong.
  const Sums& run() {
    std::thread fetcher([this] { fetch(); });
    stay_on(0);
    while (sums_.errors < errors_due_ && sums_.wrong == 0)
      play_round();
    over_ = true;
    fetcher.join();
    return sums_;
  }

 private:
  void play_round() {
    for (Ticket& ticket : tickets_) {
      ticket.delivered = 0;
      ticket.ended = ticket.recalled = 0;
    }
    for (std::uint32_t i = 0; i < depth; ++i)
      if (device_.send(a_, {core::opcode_write, 0, 512, i}, &tickets_[i]) != core::Sent::queued)
        ++sums_.wrong;
    until([&] { return has_handed(); });
    races_.store(sums_.errors + 1, std::memory_order_release);  // The fetcher goes on.
    linger(random_.below(8 * linger_max));
    finish_one(code_of_client);
    ++sums_.errors;
    finish_all();
    judge_round();
    if (device_.send(a_, {core::opcode_clear_error, 0, 0, 0}, &clear_) != core::Sent::queued)
      ++sums_.wrong;
    finish_all();
    if (clear_.ended != 1 || clear_.delivered != 1 || clear_.recalled != 0) ++sums_.wrong;
    clear_.ended = clear_.delivered = 0;
    ++sums_.cleared;
  }

  bool has_handed() const { return got_ != put_.load(std::memory_order_acquire); }

  /// As the client: completes what was fetched first. Then, at once, as the server: looks.
  void finish_one(std::uint32_t code) {
    const core::Taken taken = handed_[got_++ % depth];
    if (ring_.complete(a_, taken.line, taken.lap, taken.command.opcode, {code, 0, 0}) !=
        core::Completed::done)
      ++sums_.wrong;
    poll();
  }

  void poll() {
    finished_->count = 0;
    device_.poll(a_, *finished_);
    for (std::uint32_t i = 0; i < finished_->count; ++i) {
      auto& ticket = *static_cast<Ticket*>(finished_->items[i].cookie);
      ++ticket.ended;
      ticket.recalled += finished_->items[i].result.code == core::code_io_device ? 1 : 0;
    }
    if (finished_->corrupt) ++sums_.wrong;
  }

  void finish_all() {
    until([&] {
      if (has_handed()) finish_one(core::code_success);
      return device_.outstanding_count() == 0 || sums_.wrong != 0;
    });
  }

  void judge_round() {
    std::uint32_t delivered = 0, recalled = 0;
    for (const Ticket& ticket : tickets_) {
      if (ticket.ended != 1 || ticket.delivered + ticket.recalled != 1) ++sums_.wrong;
      delivered += ticket.delivered;
      recalled += ticket.recalled;
    }
    sums_.delivered += delivered;
    sums_.recalled += recalled;
    // One was delivered before the race began.
    sums_.split += delivered > 1 && recalled > 0 ? 1 : 0;
  }

  void fetch() {
    A a(2);
    stay_on(1);
    std::uint64_t rounds = 0;
    for (core::Taken taken{};;) {
      until([&] { return ring_.take(a, taken) == core::Take::got || over_; });
      if (over_) return;
      const bool clear = core::command_code(taken.command.opcode) == core::opcode_clear_error;
      ++(clear ? clear_ : tickets_[taken.command.position % depth]).delivered;
      const std::uint32_t at = put_.load(std::memory_order_relaxed);
      handed_[at % depth] = taken;
      put_.store(at + 1, std::memory_order_release);
      if (clear || taken.command.position != 0) continue;
      ++rounds;  // The first of a round fails: the race begins when both are here.
      until([&] { return races_.load(std::memory_order_acquire) == rounds || over_; });
    }
  }

  core::SubmissionLine submissions_[depth]{};
  support::Lines<depth> lines_;
  core::ClientHeader header_{};
  core::ServerDevice<A> device_{core::ServerRing<A>(submissions_, lines_), header_};
  core::ClientRing<A> ring_{submissions_, lines_, header_, client, 0};
  std::unique_ptr<core::FinishedList> finished_ = std::make_unique<core::FinishedList>();
  std::array<Ticket, depth> tickets_;
  Ticket clear_;
  core::Taken handed_[depth]{};  // At most `depth` are under way.
  std::atomic<std::uint32_t> put_{0};
  std::uint32_t got_ = 0;
  std::atomic<std::uint64_t> races_{0};
  std::atomic<bool> over_{false};
  A a_{1};
  Random random_{3};
  std::uint64_t errors_due_;
  Sums sums_;
};

template <bool mutant>
bool race(std::uint64_t errors) {
  const auto race = std::make_unique<Race<LingeringAtomics<mutant>>>(errors);
  const Sums& sums = race->run();
  using Long = unsigned long long;
  std::printf(
      "%s%llu errors, %llu of them met in the middle of fetching: %llu commands delivered, "
      "%llu recalled, %llu ClearErrors; %llu wrong\n",
      mutant ? "recall stores: " : "", Long{sums.errors}, Long{sums.split}, Long{sums.delivered},
      Long{sums.recalled}, Long{sums.cleared}, Long{sums.wrong});
  if (mutant) return sums.wrong > 0;
  return sums.wrong == 0 && sums.errors == errors && sums.cleared == errors &&
         sums.split * 25 > errors;
}

}  // namespace
}  // namespace vdset

int main(int count, char** words) {
  const char* const deep = std::getenv("VDSET_TEST_DEEP");
  const std::uint64_t times = deep != nullptr ? std::strtoull(deep, nullptr, 10) : 0;
  const std::uint64_t errors = times > 0 ? times * 10'000'000 : 50'000;
  const bool mutant = count > 1 && std::strcmp(words[1], "mutant") == 0;
  const bool good = mutant ? vdset::race<true>(errors) : vdset::race<false>(errors);
  std::printf("%d passed, %d failed\n", good ? 1 : 0, good ? 0 : 1);
  return good ? 0 : 1;
}
