// core/words.hpp: the packed words of docs/format.md, and signed distance. Layer core:
// freestanding.
// Values only; nothing here touches shared memory.
#pragma once
#include <cstdint>
#include "core/config.hpp"

namespace vdset::core {

inline constexpr std::uint32_t generation_mask = (1u << generation_bits) - 1;

/// Signed distance a - b of two 20-bit counters that wrap. Newer means > 0; never compare with !=.
constexpr std::int32_t generation_distance(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>((a - b) << (32 - generation_bits)) >> (32 - generation_bits);
}

/// {state 4 bits, participant 8, generation 20}: command, slot, device and participant words.
template <class State>
struct OwnedWord {
  State state;
  std::uint32_t participant;
  std::uint32_t generation;

  static constexpr OwnedWord unpack(std::uint32_t word) {
    return {static_cast<State>(word & 15u), (word >> 4) & 255u, word >> 12};
  }
  constexpr std::uint32_t pack() const {
    return static_cast<std::uint32_t>(state) | (participant & 255u) << 4 |
           (generation & generation_mask) << 12;
  }
};

// Enumerators may hold any of the 16 values a peer can store: the underlying type is fixed.
enum class CommandState : std::uint32_t {
  idle = 0,
  taken = 1,
  completing = 2,
  done = 3,
  failed = 4,
  offered = 5
};
enum class SlotState : std::uint32_t { free = 0, live = 1, lent = 2, quarantined = 3 };
enum class DeviceState : std::uint32_t { unnamed = 0, named = 1, open = 2, closed = 3 };
enum class ParticipantState : std::uint32_t { free = 0, active = 1, left = 2, dead = 3 };
enum class SetState : std::uint32_t {
  none = 0,
  configurable = 1,
  initializing = 2,
  active = 3,
  terminated = 4,
  aborted = 5
};
enum class Role : std::uint32_t { none = 0, server = 1, primary = 2, secondary = 3 };

using CommandWord = OwnedWord<CommandState>;
using SlotWord = OwnedWord<SlotState>;
using DeviceWord = OwnedWord<DeviceState>;

/// A participant word carries the role where the others carry the participant.
using ParticipantWord = OwnedWord<ParticipantState>;

/// The abort request in W: first writer wins.
struct AbortWord {
  bool aborted;
  std::uint32_t reason;  // VDSET_CALL_*, 7 bits.
  std::uint32_t participant;

  static constexpr AbortWord unpack(std::uint32_t word) {
    return {(word & 1u) != 0, (word >> 1) & 127u, (word >> 8) & 255u};
  }
  constexpr std::uint32_t pack() const {
    return (aborted ? 1u : 0u) | (reason & 127u) << 1 | (participant & 255u) << 8;
  }
};

inline constexpr std::uint32_t gate_open = 0;
inline constexpr std::uint32_t gate_io_error = 1;

inline constexpr std::uint32_t event_armed = 1u;       // A thread may sleep on it.
inline constexpr std::uint32_t event_descriptor = 2u;  // An event loop waits for its descriptor.
inline constexpr std::uint32_t event_step = 4u;

static_assert(generation_distance(0, generation_mask) == 1 && generation_distance(5, 7) == -2);
static_assert(CommandWord::unpack(CommandWord{CommandState::offered, 254, 0xABCDE}.pack())
                  .generation == 0xABCDE);

}  // namespace vdset::core
