// core/command.hpp: the private copies of what lines carry. Layer core: freestanding.
#pragma once
#include <cstdint>
#include "core/config.hpp"

namespace vdset::core {

// VDI's command codes that the core itself must tell apart.
inline constexpr std::uint32_t opcode_read = 1;
inline constexpr std::uint32_t opcode_write = 2;
inline constexpr std::uint32_t opcode_clear_error = 3;

// A line's opcode: the command code, and this flag. In IO-ERROR the server posts a ClearError only
// when all that was fetched is complete, and says so with it: such a one alone passes the closed
// gate, and opens it. A ClearError sent before the server knew of an error lacks it.
inline constexpr std::uint32_t opcode_passes_gate = 1u << 16;
inline constexpr std::uint32_t opcode_opens_gate = opcode_clear_error | opcode_passes_gate;
constexpr std::uint32_t command_code(std::uint32_t opcode) {
  return opcode & 0xffffu;
}

// Win32 codes that the core itself writes.
inline constexpr std::uint32_t code_success = 0;
inline constexpr std::uint32_t code_operation_aborted = 995;
inline constexpr std::uint32_t code_io_device = 1117;

/// What a submission line says.
struct Submission {
  std::uint32_t opcode;  // The command code; with opcode_passes_gate on a line.
  std::uint32_t handle;
  std::uint32_t size;  // VDI's signed size, as bits.
  std::uint64_t position;
};

/// What a completion line says, already clamped.
struct Completion {
  std::uint32_t code;
  std::uint32_t bytes;
  std::uint64_t position;
};

constexpr bool moves_data(std::uint32_t opcode) {
  return opcode == opcode_read || opcode == opcode_write;
}

/// Position n of a device: its line and its lap (docs/format.md, "Submission line").
struct RingPosition {
  std::uint32_t line;
  std::uint32_t lap;
};
constexpr RingPosition ring_position(std::uint32_t position, std::uint32_t depth) {
  // depth is a power of two, so that laps stay right when the 32-bit position wraps.
  return {position & (depth - 1), (position / depth + 1) & ((1u << generation_bits) - 1)};
}
static_assert((1ull << 32) / queue_depth_max % (1ull << generation_bits) == 0);

}  // namespace vdset::core
