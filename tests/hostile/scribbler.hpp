// tests/hostile/scribbler.hpp: writes into mapped parts of a live set, one kind of damage at a
// time.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>
#include "abi/port/port.hpp"

namespace vdset::hostile {

/// A generator whose seed is printed when a round fails.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ull + 1) {}
  std::uint32_t operator()() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<std::uint32_t>(state_ >> 16);
  }
  std::uint32_t below(std::uint32_t limit) { return (*this)() % limit; }

 private:
  std::uint64_t state_;
};

enum class Damage : std::uint32_t {
  random_words,
  bit_flips,
  replayed_lines,
  ring_indices,
  state_words,
  huge_sizes,
  cut_and_punch,
  count
};
inline const char* const damage_names[] = {"random words",   "bit flips",   "replayed lines",
                                           "ring indices",   "state words", "huge sizes",
                                           "cut and punched"};

/// Marks words of a buffer as written by the scribbler.
inline constexpr std::uint32_t scribble_tag = 0xbad00000u;

/// Memory to write into, and where its interesting words lie.
struct Target {
  std::byte* base;
  std::uint32_t bytes;
  int descriptor;                     // -1: not to be cut or punched.
  std::uint32_t line_words[2];        // Offsets within a line of 64 bytes: the word, and a size.
  bool data;                          // Its words are tagged.
  std::vector<std::uint32_t> spared;  // Offsets that would only end the set at once.
};

class Scribbler {
 public:
  Scribbler(std::vector<Target> targets, Damage damage, std::uint64_t seed)
      : targets_(std::move(targets)), damage_(damage), dice_(seed) {}

  /// One write. False: something was cut that cannot be cut.
  bool once();

 private:
  void put(Target& target, std::uint32_t offset, std::uint32_t value);
  std::uint32_t get(const Target& target, std::uint32_t offset) const;
  std::uint32_t hostile_word();
  void replay(Target& target, std::uint32_t line);
  bool cut(Target& target);

  std::vector<Target> targets_;
  Damage damage_;
  Dice dice_;
  std::uint32_t old_[16] = {};
};

}  // namespace vdset::hostile
