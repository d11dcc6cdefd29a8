// tests/unit/test_data_path.cpp
// Goal: while nobody has to sleep, a command's whole way makes no system call and allocates
// nothing.
// Method: both roles in one thread over the library that counts its system calls.
#include <malloc.h>
#include <string>
#include "tests/support/faults.hpp"
#include "tests/unit/both_sides.hpp"

using namespace vdset;
using namespace vdset::unit;

namespace {

constexpr int rounds = 2000;

/// One command with its buffer, its handle there and back, the answer, and a look for more. How
/// many steps failed.
int round_trip(BothSides& sides) {
  const vdset_command* fetched = nullptr;
  vdset_command* done = nullptr;
  std::uint32_t handle = 0;
  void* address = nullptr;
  int failed = 0;
  failed += vdset_server_allocate_buffer(sides.server, transfer_bytes, 0, &sides.write.buffer) !=
            VDSET_OK;
  failed += vdset_server_device_send_command(sides.server_device, &sides.write) != VDSET_OK;
  failed += vdset_device_get_command(sides.device, VDSET_INFINITE, &fetched) != VDSET_OK;
  failed += vdset_set_get_buffer_handle(sides.set, fetched->buffer, &handle) != VDSET_OK;
  failed += vdset_set_map_buffer_handle(sides.set, handle, &address) != VDSET_OK;
  failed += address != fetched->buffer;
  failed +=
      vdset_set_map_buffer_handle(sides.set, handle ^ 0x80000000u, &address) != VDSET_E_INVALID;
  failed += vdset_device_complete_command(sides.device, fetched, 0, transfer_bytes, 0) != VDSET_OK;
  failed += vdset_server_next_completion(sides.server, VDSET_INFINITE, &done) != VDSET_OK;
  failed += done != &sides.write;
  failed += vdset_server_free_buffer(sides.server, sides.write.buffer, transfer_bytes) != VDSET_OK;
  failed += vdset_device_get_command(sides.device, 0, &fetched) != VDSET_E_TIMEOUT;
  failed += vdset_server_next_completion(sides.server, 0, &done) != VDSET_E_TIMEOUT;
  return failed;
}

std::string calls_made() {
  std::string made;
  for (std::size_t i = 0; i < static_cast<std::size_t>(port::Call::count); ++i) {
    const auto call = static_cast<port::Call>(i);
    if (faults::uses(call) != 0)
      made += std::string(faults::name_of(call)) + " " + std::to_string(faults::uses(call)) + " ";
  }
  return made;
}

}  // namespace

TEST_CASE("a busy data path makes no system call and allocates nothing") {
  BothSides sides;
  REQUIRE(round_trip(sides) == 0);
  const std::size_t allocated = mallinfo2().uordblks;
  faults::reset();
  int failed = 0;
  for (int i = 0; i < rounds; ++i)
    failed += round_trip(sides);
  const std::string made = calls_made();
  const std::size_t allocated_since = mallinfo2().uordblks - allocated;
  CHECK(failed == 0);
  CHECK(made == "");
  CHECK(allocated_since == 0);
}
