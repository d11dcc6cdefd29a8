// tests/unit/test_command.cpp
// Goal: positions become lines and laps as docs/format.md, "Submission line", says, over every
// wrap.
// Method: the formula in 64 bits, written here, around each wrap of each depth.
#include "core/command.hpp"
#include "tests/unit/support.hpp"

using namespace vdset;
using namespace vdset::core;

TEST_CASE("command n uses line n mod Q in lap n div Q + 1") {
  for (std::uint32_t depth : {1u, 8u, 16u, 32u, 64u, 128u}) {
    CHECK(ring_position(0, depth).line == 0);
    CHECK(ring_position(0, depth).lap == 1);
    CHECK(ring_position(depth - 1, depth).lap == 1);
    CHECK(ring_position(depth, depth).line == 0);
    CHECK(ring_position(depth, depth).lap == 2);
  }
}

TEST_CASE("laps wrap at 2^20 and go on when the 32-bit position wraps") {
  bool right = true;
  for (std::uint32_t depth : {8u, 16u, 32u, 64u, 128u})
    for (std::uint64_t wrap : {std::uint64_t{depth} << 20, std::uint64_t{1} << 32,
                               (std::uint64_t{1} << 32) + (std::uint64_t{depth} << 20)})
      for (std::uint64_t n = wrap - 3 * depth; n < wrap + 3 * depth; ++n) {
        const RingPosition at = ring_position(static_cast<std::uint32_t>(n), depth);
        right = right && at.line == n % depth && at.lap == (n / depth + 1) % (1u << 20);
      }
  CHECK(right);
}

TEST_CASE("the same line's next lap is one ahead by signed distance, at every wrap") {
  bool right = true;
  for (std::uint32_t depth : {8u, 128u})
    for (std::uint32_t n : {0u, 0xffffffffu, 0u - depth, (depth << 20) - 1, depth << 20}) {
      const RingPosition here = ring_position(n, depth);
      const RingPosition next = ring_position(n + depth, depth);
      right = right && here.line == next.line && ((next.lap - here.lap) & 0xfffff) == 1;
    }
  CHECK(right);
}

TEST_CASE("only Read and Write move data, and the codes are VDI's") {
  CHECK(opcode_read == 1);
  CHECK(opcode_write == 2);
  CHECK(opcode_clear_error == 3);
  CHECK(opcode_opens_gate == 0x10003);
  CHECK(command_code(opcode_opens_gate) == opcode_clear_error);
  CHECK(code_success == 0);
  CHECK(code_operation_aborted == 995);
  CHECK(code_io_device == 1117);
  for (std::uint32_t opcode = 0; opcode < 64; ++opcode)
    CHECK(moves_data(opcode) == (opcode == 1 || opcode == 2));
}
