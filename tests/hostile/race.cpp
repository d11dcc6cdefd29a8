// tests/hostile/race.cpp
// Goal: ThreadSanitizer sees both roles of a device and finds no race; a planted one it does find.
// Method: server, agent and client as threads over one mapping (two mappings of the same memory
// have two addresses, and the sanitizer would know of no race between them), production atomics,
// real arming and waking. What a command stands for is plain memory: a buffer that the server
// fills, the client changes, and the callback reads. With -DVDSET_PLANTED_RACE results are
// published relaxed.
//
// usage: race COMMANDS. Compiled by test_race.sh with clang and -fsanitize=thread.
#include <sched.h>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>
#include "core/client_ring.hpp"
#include "core/doorbell.hpp"
#include "core/server_device.hpp"
#include "tests/support/lines.hpp"

using namespace vdset::core;

namespace {

constexpr std::uint32_t depth = 8;

/// The order of one edge taken away, where that is asked for.
struct Weakened : RealAtomics {
  template <Site site>
  static void store(Word& word, std::uint32_t value) {
    if constexpr (site == Site::complete_finished)
      __atomic_store_n(&word.value, value, __ATOMIC_RELAXED);
    else
      RealAtomics::store<site>(word, value);
  }
};
#ifdef VDSET_PLANTED_RACE
using Atomics = Weakened;
#else
using Atomics = RealAtomics;
#endif

struct Part {
  ClientHeader header{};
  vdset::support::Lines<depth> lines;
};

struct Shared {
  SubmissionLine submissions[depth]{};
  Part part;
  Word device_bell{}, agent_bell{};
  std::uint64_t buffers[depth][8] = {};  // Plain memory.
};

struct Job {
  std::uint32_t number;
  std::uint64_t* buffer;
};

/// Sleeps by yielding: a futex is nothing that the sanitizer knows.
template <class Ready>
void wait_for(Atomics& a, Word& bell, Ready ready) {
  for (;;) {
    const std::uint32_t armed = arm_bell(a, bell);
    bool now = ready();
    while (!now && a.load<Site::bell_watch>(bell) == armed)
      sched_yield();
    disarm_bell(a, bell);
    if (now || ready()) return;
  }
}

class Race {
 public:
  explicit Race(std::uint32_t count) : count_(count), jobs_(new Job[count]) {}

  /// True when every command came back with what the client made of it.
  bool run() {
    std::thread client([this] { serve(); });
    std::thread agent([this] { reap(); });
    send();
    client.join();
    agent.join();
    return right_ == count_;
  }

 private:
  void send() {
    for (std::uint32_t n = 0; n < count_;) {
      {
        const std::lock_guard guard(lock_);
        if (device_.outstanding_count() == depth) {
          sched_yield();
          continue;
        }
        Job& job = jobs_[n] = {n, shared_.buffers[n % depth]};
        for (int i = 0; i < 8; ++i)
          job.buffer[i] = n;
        if (device_.send(a_, {opcode_read, n, 64, n}, &job) != Sent::queued) continue;
      }
      ++n;
      static_cast<void>(ring_bell(a_, shared_.device_bell));
    }
  }
  void serve() {
    Atomics a;
    ClientRing<Atomics> ring(shared_.submissions, shared_.part.lines, shared_.part.header, 2, 0);
    for (std::uint32_t n = 0; n < count_;) {
      Taken taken{};
      if (ring.take(a, taken) != Take::got) {
        wait_for(a, shared_.device_bell, [&] { return ring.ready(a); });
        continue;
      }
      std::uint64_t* const buffer = shared_.buffers[taken.command.handle % depth];
      for (int i = 0; i < 8; ++i)
        buffer[i] += 1;
      static_cast<void>(ring.complete(a, taken.line, taken.lap, taken.command.opcode, {0, 64, 0}));
      static_cast<void>(ring_bell(a, shared_.agent_bell));
      ++n;
    }
  }
  void reap() {
    Atomics a;
    for (std::uint32_t done = 0; done < count_;) {
      const auto list = std::make_unique<FinishedList>();
      {
        const std::lock_guard guard(lock_);
        device_.poll(a, *list);
        for (std::uint32_t i = 0; i < list->count; ++i) {
          const Job& job = *static_cast<Job*>(list->items[i].cookie);
          bool right = list->items[i].result.bytes == 64;
          for (int k = 0; k < 8; ++k)
            right = right && job.buffer[k] == std::uint64_t{job.number} + 1;
          right_ += right ? 1 : 0;
        }
      }
      done += list->count;
      if (list->count == 0)
        wait_for(a, shared_.agent_bell, [&] {
          const std::lock_guard guard(lock_);
          return device_.ring().any_final(a);
        });
    }
  }

  std::uint32_t count_;
  std::unique_ptr<Job[]> jobs_;
  Shared shared_;
  Atomics a_;
  std::mutex lock_;
  ServerDevice<Atomics> device_{ServerRing<Atomics>(shared_.submissions, shared_.part.lines),
                                shared_.part.header};
  std::uint32_t right_ = 0;
};

}  // namespace

int main(int count, char** words) {
  const auto commands =
      static_cast<std::uint32_t>(count > 1 ? std::strtoul(words[1], nullptr, 10) : 1000);
  const bool right = Race(commands).run();
  std::printf("%u commands, %s\n", commands, right ? "all right" : "some wrong");
  return right ? 0 : 1;
}
