// tests/crash/test_recall.cpp: a device error races GetCommand, on real processors, over the
// production headers: one thread fetches while another completes a fetched command with an error,
// so that the server recalls what is queued. Each command is either delivered or recalled, never
// both; each ClearError arrives, and the device goes on.
//
// VDSET_TEST_DEEP=N   N times 10^7 errors instead of 50,000
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <thread>
#include <vector>
#include "core/client_ring.hpp"
#include "core/server_device.hpp"
#include "tests/support/lines.hpp"

namespace vdset {
namespace {

constexpr std::uint32_t depth = 8;
constexpr std::uint32_t code_of_client = 21;
constexpr std::uint32_t client = 2;
constexpr std::uint32_t ahead = 1;  // Fetched and not yet being completed; the others are queued.

/// One command on its way; commands under way are `depth` at most, their places are used in turn.
struct Ticket {
  std::atomic<std::uint32_t> delivered{0};
  std::uint32_t number = 0;
  bool clear = false;
};

class Race {
 public:
  explicit Race(std::uint64_t errors) : errors_due_(errors) {}

  bool run() {
    std::thread fetcher([this] { fetch(); });
    std::thread completer([this] { complete(); });
    serve();
    over_ = true;
    fetcher.join();
    completer.join();
    std::printf(
        "%llu errors, %llu of them recalled what was queued: %llu commands delivered, %llu "
        "recalled, %llu ClearErrors; %llu wrong\n",
        n(errors_), n(with_recalls_), n(delivered_), n(recalled_), n(cleared_), n(wrong_));
    return wrong_ == 0 && cleared_ == errors_ && with_recalls_ * 10 > errors_ && delivered_ > 0;
  }

 private:
  static unsigned long long n(std::uint64_t value) { return value; }

  void serve() {
    core::RealAtomics a;
    const auto finished = std::make_unique<core::FinishedList>();
    std::uint64_t idle_since = 0;
    for (std::uint64_t rounds = 0; errors_ < errors_due_ || device_.outstanding_count() > 0;
         ++rounds) {
      send_more(a);
      finished->count = 0;
      device_.poll(a, *finished);
      for (std::uint32_t i = 0; i < finished->count; ++i)
        judge(*static_cast<Ticket*>(finished->items[i].cookie), finished->items[i].result.code);
      if (finished->corrupt) ++wrong_;
      if (finished->count > 0) idle_since = rounds;
      if (rounds - idle_since > 100'000'000) {
        std::printf("FAIL nothing comes back\n");
        std::exit(1);
      }
      if (finished->count == 0) std::this_thread::yield();
    }
  }

  void send_more(core::RealAtomics& a) {
    const bool failed = device_.phase() == core::DevicePhase::io_error;
    while (errors_ < errors_due_ || failed) {
      Ticket& ticket = tickets_[next_ % tickets_.size()];
      ticket.clear = failed;
      ticket.number = next_;
      ticket.delivered = 0;
      const std::uint32_t opcode = failed ? core::opcode_clear_error : core::opcode_write;
      if (failed && clearing_) return;
      const core::Sent sent = device_.send(a, {opcode, 0, 512, next_}, &ticket);
      if (sent != core::Sent::queued && sent != core::Sent::held) return;
      ++next_;
      clearing_ = failed;
      if (failed) return;
    }
  }

  void judge(const Ticket& ticket, std::uint32_t code) {
    const std::uint32_t times = ticket.delivered;
    if (ticket.clear) {
      clearing_ = false;
      ++cleared_;
      in_error_ = false;
      if (clears_delivered_ != 1 || code != core::code_success) ++wrong_;
      clears_delivered_ = 0;
    } else if (code == core::code_io_device) {
      ++recalled_;
      with_recalls_ += in_error_ && !counted_ ? 1 : 0;
      counted_ = true;
      if (times != 0) ++wrong_;
    } else {
      ++delivered_;
      if (times != 1) ++wrong_;
      if (code == code_of_client && !in_error_) {
        ++errors_;
        in_error_ = true;
        counted_ = false;
      }
    }
  }

  void fetch() {
    core::RealAtomics a;
    while (!over_) {
      core::Taken taken{};
      if (ring_.take(a, taken) != core::Take::got) {
        std::this_thread::yield();
        continue;
      }
      // ClearError carries no number; there is one at a time.
      const bool clear = core::command_code(taken.command.opcode) == core::opcode_clear_error;
      (clear ? clears_delivered_ : tickets_[taken.command.position % tickets_.size()].delivered)
          .fetch_add(1);
      const std::uint32_t at = put_.load(std::memory_order_relaxed);
      while (at - got_.load(std::memory_order_acquire) == ahead)
        std::this_thread::yield();
      handed_[at % depth] = taken;
      put_.store(at + 1, std::memory_order_release);
    }
  }

  void complete() {
    core::RealAtomics a;
    for (std::uint32_t at = 0;; ++at) {
      while (at == put_.load(std::memory_order_acquire)) {
        if (over_) return;
        std::this_thread::yield();
      }
      const core::Taken taken = handed_[at % depth];
      got_.store(at + 1, std::memory_order_release);
      const bool clear = core::command_code(taken.command.opcode) == core::opcode_clear_error;
      // About every third; which one is under way when it fails varies.
      const bool fails = !clear && (taken.command.position * 2654435761u >> 7) % 3 == 0;
      const core::Completion result{fails ? code_of_client : core::code_success, 0, 0};
      if (ring_.complete(a, taken.line, taken.lap, taken.command.opcode, result) !=
          core::Completed::done)
        ++wrong_;
    }
  }

  core::SubmissionLine submissions_[depth]{};
  support::Lines<depth> lines_;
  core::ClientHeader header_{};
  core::ServerDevice<core::RealAtomics> device_{
      core::ServerRing<core::RealAtomics>(submissions_, lines_), header_};
  core::ClientRing<core::RealAtomics> ring_{submissions_, lines_, header_, client, 0};
  std::vector<Ticket> tickets_{64};
  core::Taken handed_[depth]{};
  std::atomic<std::uint32_t> put_{0}, got_{0}, clears_delivered_{0};
  std::atomic<bool> over_{false};
  std::atomic<std::uint64_t> wrong_{0};
  std::uint64_t errors_due_, errors_ = 0, with_recalls_ = 0, delivered_ = 0, recalled_ = 0;
  std::uint64_t cleared_ = 0;
  std::uint32_t next_ = 0;
  bool clearing_ = false, in_error_ = false, counted_ = false;
};

}  // namespace
}  // namespace vdset

int main() {
  const char* const deep = std::getenv("VDSET_TEST_DEEP");
  const std::uint64_t times = deep != nullptr ? std::strtoull(deep, nullptr, 10) : 0;
  const auto race = std::make_unique<vdset::Race>(times > 0 ? times * 10'000'000 : 50'000);
  const bool good = race->run();
  std::printf("%d passed, %d failed\n", good ? 1 : 0, good ? 0 : 1);
  return good ? 0 : 1;
}
