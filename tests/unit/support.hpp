// tests/unit/support.hpp: what the unit tests share: a watchdog, an atomics policy that watches,
// a device's memory between canaries, and random numbers with a printed seed.
#pragma once
#include <doctest/doctest.h>
#include <unistd.h>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <vector>
#include "core/client_ring.hpp"
#include "core/server_device.hpp"
#include "tests/support/lines.hpp"

namespace vdset::unit {

/// Ends a test that hangs: SIGALRM kills the program.
class Watchdog {
 public:
  explicit Watchdog(unsigned seconds = 10) { alarm(seconds); }
  ~Watchdog() { alarm(0); }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
};

/// Seed of the random tests; VDSET_TEST_SEED replays one.
inline std::uint32_t seed() {
  const char* const given = std::getenv("VDSET_TEST_SEED");
  return given != nullptr ? static_cast<std::uint32_t>(std::strtoul(given, nullptr, 0)) : 20051u;
}

class Random {
 public:
  explicit Random(std::uint32_t from) : engine_(from) {}
  std::uint32_t operator()() { return static_cast<std::uint32_t>(engine_()); }

 private:
  std::mt19937 engine_;
};

/// The production policy, which also counts accesses, notes those outside of the memory it was
/// shown, and lets a test act for the other side just before an access.
struct Watched {
  struct Range {
    const void* low;
    std::size_t bytes;
  };
  std::vector<Range> ranges;
  std::uint64_t accesses = 0;
  std::uint64_t outside = 0;
  std::function<void(core::Site)> before;

  void allow(const void* low, std::size_t bytes) { ranges.push_back({low, bytes}); }

  void touch(core::Site site, const core::Word& word) {
    ++accesses;
    bool inside = ranges.empty();
    for (const Range& range : ranges) {
      const auto offset =
          reinterpret_cast<std::uintptr_t>(&word) - reinterpret_cast<std::uintptr_t>(range.low);
      inside = inside || offset < range.bytes;
    }
    if (!inside) ++outside;
    if (before) before(site);
  }

  template <core::Site site>
  std::uint32_t load(const core::Word& word) {
    touch(site, word);
    return core::RealAtomics::load<site>(word);
  }
  template <core::Site site>
  void store(core::Word& word, std::uint32_t value) {
    touch(site, word);
    core::RealAtomics::store<site>(word, value);
  }
  template <core::Site site>
  bool compare_exchange(core::Word& word, std::uint32_t& expected, std::uint32_t desired) {
    touch(site, word);
    return core::RealAtomics::compare_exchange<site>(word, expected, desired);
  }
  template <core::Site site>
  std::uint32_t fetch_add(core::Word& word, std::uint32_t value) {
    touch(site, word);
    return core::RealAtomics::fetch_add<site>(word, value);
  }
  template <core::Site site>
  std::uint32_t fetch_or(core::Word& word, std::uint32_t value) {
    touch(site, word);
    return core::RealAtomics::fetch_or<site>(word, value);
  }
  template <core::Site site>
  std::uint32_t fetch_and(core::Word& word, std::uint32_t value) {
    touch(site, word);
    return core::RealAtomics::fetch_and<site>(word, value);
  }
  template <core::Site site>
  void fence() {
    core::RealAtomics::fence<site>();
  }
};

using Ring = core::ServerRing<Watched>;
using Consumer = core::ClientRing<Watched>;
using Device = core::ServerDevice<Watched>;

/// A part C.
template <std::uint32_t depth>
struct ClientMemory {
  std::uint8_t low_canary[64];
  core::ClientHeader header{};
  support::Lines<depth> lines;
  std::uint8_t high_canary[64];

  ClientMemory() {
    std::memset(low_canary, 0xa5, sizeof low_canary);
    std::memset(high_canary, 0xa5, sizeof high_canary);
  }
  bool intact() const {
    for (std::uint8_t byte : low_canary)
      if (byte != 0xa5) return false;
    for (std::uint8_t byte : high_canary)
      if (byte != 0xa5) return false;
    return true;
  }
};

/// One device: its submission lines and two parts C.
template <std::uint32_t depth>
struct DeviceMemory {
  core::SubmissionLine submissions[depth]{};
  ClientMemory<depth> client;
  ClientMemory<depth> fresh;
  Watched a;

  DeviceMemory() { a.allow(this, sizeof *this); }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  Ring ring() { return {submissions, client.lines}; }
  Device device() { return {ring(), client.header}; }
  Consumer consumer(std::uint32_t me = 2, std::uint32_t head = 0) {
    return {submissions, client.lines, client.header, me, head};
  }
  Consumer fresh_consumer(std::uint32_t me, std::uint32_t head) {
    return {submissions, fresh.lines, fresh.header, me, head};
  }
  std::uint32_t& word(std::uint32_t line) { return client.lines.commands[line].command.value; }
  std::uint32_t& fresh_word(std::uint32_t line) { return fresh.lines.commands[line].command.value; }
  std::uint32_t& finished(std::uint32_t line) {
    return client.lines.completions[line].finished.value;
  }
  std::uint32_t& fresh_finished(std::uint32_t line) {
    return fresh.lines.completions[line].finished.value;
  }
  /// As an honest consumer leaves it.
  void finish(std::uint32_t line, std::uint32_t participant, std::uint32_t lap);
  bool sound() const { return a.outside == 0 && client.intact() && fresh.intact(); }
};

/// A command word written by hand: state in bits 3..0, participant in 11..4, lap in 31..12.
constexpr std::uint32_t command_word(std::uint32_t state, std::uint32_t participant,
                                     std::uint32_t lap) {
  return state | participant << 4 | lap << 12;
}
inline constexpr std::uint32_t idle = 0, taken = 1, completing = 2, done = 3, failed = 4,
                               offered = 5;
inline constexpr std::uint32_t lap_mask = 0xfffff;

template <std::uint32_t depth>
void DeviceMemory<depth>::finish(std::uint32_t line, std::uint32_t participant,
                                 std::uint32_t lap) {
  word(line) = command_word(done, participant, lap);
  finished(line) = lap;
}

/// Words that a peer may leave in a line whose lap is `lap`: all states, also those that do not
/// exist, of this lap, its neighbours and far ones, by participants that do and do not exist.
inline std::vector<std::uint32_t> hostile_words(std::uint32_t lap) {
  std::vector<std::uint32_t> words = {0, ~0u, 0x80000000u, 0x7fffffffu};
  const std::uint32_t laps[] = {lap,     lap - 1, lap + 1,       lap - 2,
                                lap + 2, lap + 7, lap + 0x7ffff, lap + 0x80000};
  for (std::uint32_t state = 0; state < 16; ++state)
    for (std::uint32_t participant : {0u, 1u, 2u, 3u, 254u, 255u})
      for (std::uint32_t of : laps)
        words.push_back(command_word(state, participant, of & lap_mask));
  return words;
}

/// Command number n: every field says n in its own way.
constexpr core::Submission command_of(std::uint32_t n) {
  return {core::opcode_write, 0x1000 + n, 0x2000 + n, std::uint64_t{n + 1} << 32 | (n + 7)};
}
constexpr bool is_command(const core::Submission& c, std::uint32_t n) {
  const core::Submission due = command_of(n);
  return c.opcode == due.opcode && c.handle == due.handle && c.size == due.size &&
         c.position == due.position;
}

}  // namespace vdset::unit
