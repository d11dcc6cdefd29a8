// fuzz/fuzz.hpp: what the harnesses share: reading decisions out of the input, and oracles that end
// the program when they are broken. Each harness is one function, LLVMFuzzerTestOneInput; in an
// ordinary build replay.cpp calls it with every file of its corpus.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace vdset::fuzz {

[[noreturn]] inline void broken(const char* what, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: broken: %s\n", file, line, what);
  std::abort();
}

/// The oracle: what must hold whatever the input.
#define VDSET_HOLDS(condition) \
  ((condition) ? void() : ::vdset::fuzz::broken(#condition, __FILE__, __LINE__))

/// A place that a harness is there for: a corpus that never gets to it is dead, and the replay of
/// the whole corpus fails.
class Goal {
 public:
  explicit Goal(const char* name) : name_(name), next_(first) { first = this; }
  Goal(const Goal&) = delete;
  Goal& operator=(const Goal&) = delete;
  void reach() { reached_ = true; }
  /// How many were not reached; names them.
  static int missed() {
    int count = 0;
    for (const Goal* goal = first; goal != nullptr; goal = goal->next_) {
      if (goal->reached_) continue;
      std::printf("no input gets to: %s\n", goal->name_);
      ++count;
    }
    return count;
  }

 private:
  static inline Goal* first = nullptr;
  const char* name_;
  Goal* next_;
  bool reached_ = false;
};

/// The input as a stream of decisions; at its end all are 0.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : at_(data), left_(size) {}

  std::size_t left() const { return left_; }
  const std::uint8_t* rest() const { return at_; }
  std::uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *at_++;
  }
  std::uint32_t word() {
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i)
      value |= std::uint32_t{byte()} << (8 * i);
    return value;
  }
  /// Below `limit`, which is at most 256.
  std::uint32_t below(std::uint32_t limit) { return byte() % limit; }
  bool flip() { return (byte() & 1) != 0; }
  /// Copies up to `bytes`; returns how many there were.
  std::size_t copy(void* to, std::size_t bytes) {
    const std::size_t taken = bytes < left_ ? bytes : left_;
    if (taken > 0) std::memcpy(to, at_, taken);
    at_ += taken;
    left_ -= taken;
    return taken;
  }

 private:
  const std::uint8_t* at_;
  std::size_t left_;
};

}  // namespace vdset::fuzz
