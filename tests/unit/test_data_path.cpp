// tests/unit/test_data_path.cpp
// Goal: while nobody has to sleep, a command's whole way makes no system call and allocates
// nothing.
// Method: both roles in one thread over the library that counts its system calls.
#include <malloc.h>
#include <string>
#include "abi/include/vdset.h"
#include "tests/support/faults.hpp"
#include "tests/unit/system.hpp"

using namespace vdset;
using namespace vdset::unit;

namespace {

constexpr int rounds = 2000;
constexpr std::uint32_t transfer_bytes = 4096;

/// A set whose server and primary are this thread, with one device open.
struct BothSides {
  Scratch place;
  vdset_set* set = nullptr;
  vdset_device* device = nullptr;
  vdset_server* server = nullptr;
  vdset_server_device* server_device = nullptr;
  vdset_command write{};

  BothSides() {
    vdset_config config{};
    config.struct_bytes = sizeof config;
    config.device_count = 1;
    vdset_set_options options{};
    options.struct_bytes = sizeof options;
    options.directory = place.path();
    vdset_join_options join{};
    join.struct_bytes = sizeof join;
    join.directory = place.path();
    vdset_base_configuration base{};
    base.struct_bytes = sizeof base;
    base.features = VDSET_FEATURE_WRITE_MEDIA;
    base.block_bytes = 512;
    base.max_transfer_bytes = 65536;
    REQUIRE(vdset_set_create("path", &config, &options, &set) == VDSET_OK);
    REQUIRE(vdset_server_open("path", &join, &server) == VDSET_OK);
    REQUIRE(vdset_server_begin_configuration(server, &base) == VDSET_OK);
    REQUIRE(vdset_server_request_buffers(server, transfer_bytes, 0, 2) == VDSET_OK);
    REQUIRE(vdset_server_end_configuration(server) == VDSET_OK);
    REQUIRE(vdset_server_open_device(server, "path", &server_device) == VDSET_OK);
    REQUIRE(vdset_set_get_configuration(set, VDSET_INFINITE, &config) == VDSET_OK);
    REQUIRE(vdset_set_open_device(set, "path", &device) == VDSET_OK);
    write.struct_bytes = sizeof write;
    write.code = VDSET_COMMAND_WRITE;
    write.size = transfer_bytes;
  }
  ~BothSides() {
    vdset_server_close(server);
    vdset_set_close(set);
  }
  BothSides(const BothSides&) = delete;
  BothSides& operator=(const BothSides&) = delete;

  /// One command with its buffer, its handle there and back, the answer, and a look for more. How
  /// many steps failed.
  int round_trip() {
    const vdset_command* fetched = nullptr;
    vdset_command* done = nullptr;
    std::uint32_t handle = 0;
    void* address = nullptr;
    int failed = 0;
    failed += vdset_server_allocate_buffer(server, transfer_bytes, 0, &write.buffer) != VDSET_OK;
    failed += vdset_server_device_send_command(server_device, &write) != VDSET_OK;
    failed += vdset_device_get_command(device, VDSET_INFINITE, &fetched) != VDSET_OK;
    failed += vdset_set_get_buffer_handle(set, fetched->buffer, &handle) != VDSET_OK;
    failed += vdset_set_map_buffer_handle(set, handle, &address) != VDSET_OK;
    failed += address != fetched->buffer;
    failed += vdset_set_map_buffer_handle(set, handle ^ 0x80000000u, &address) != VDSET_E_INVALID;
    failed += vdset_device_complete_command(device, fetched, 0, transfer_bytes, 0) != VDSET_OK;
    failed += vdset_server_next_completion(server, VDSET_INFINITE, &done) != VDSET_OK;
    failed += done != &write;
    failed += vdset_server_free_buffer(server, write.buffer, transfer_bytes) != VDSET_OK;
    failed += vdset_device_get_command(device, 0, &fetched) != VDSET_E_TIMEOUT;
    failed += vdset_server_next_completion(server, 0, &done) != VDSET_E_TIMEOUT;
    return failed;
  }
};

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
  REQUIRE(sides.round_trip() == 0);
  const std::size_t allocated = mallinfo2().uordblks;
  faults::reset();
  int failed = 0;
  for (int i = 0; i < rounds; ++i)
    failed += sides.round_trip();
  const std::string made = calls_made();
  const std::size_t allocated_since = mallinfo2().uordblks - allocated;
  CHECK(failed == 0);
  CHECK(made == "");
  CHECK(allocated_since == 0);
}
