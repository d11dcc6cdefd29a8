// tests/unit/test_configure_turns.cpp
// Goal: of two threads that make the same step of a configuration one does it and the other is
// told so; the set works afterwards.
// Method: both at once, many sets.
#include <atomic>
#include <string>
#include <thread>
#include "abi/include/vdset.h"
#include "tests/unit/system.hpp"

using namespace vdset;
using namespace vdset::unit;

namespace {

/// How many of two threads that call at once get OK; the others must get PROTOCOL.
template <class Call>
int winners(Call call) {
  std::atomic<int> ready{0}, won{0}, refused{0};
  const auto run = [&] {
    ++ready;
    while (ready < 2) {
    }
    const std::int32_t result = call();
    won += result == VDSET_OK ? 1 : 0;
    refused += result == VDSET_E_PROTOCOL ? 1 : 0;
  };
  std::thread other(run);
  run();
  other.join();
  CHECK(won + refused == 2);
  return won;
}

}  // namespace

TEST_CASE("each step of a configuration is made by one of two threads") {
  for (int round = 0; round < 60; ++round) {
    Scratch place;
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
    vdset_set* set = nullptr;
    vdset_server* server = nullptr;
    void* buffer = nullptr;
    REQUIRE(vdset_set_create("turns", &config, &options, &set) == VDSET_OK);
    REQUIRE(vdset_server_open("turns", &join, &server) == VDSET_OK);
    CHECK(winners([&] { return vdset_server_begin_configuration(server, &base); }) == 1);
    REQUIRE(vdset_server_request_buffers(server, 4096, 0, 2) == VDSET_OK);
    CHECK(winners([&] { return vdset_server_end_configuration(server); }) == 1);
    CHECK(vdset_server_allocate_buffer(server, 4096, 0, &buffer) == VDSET_OK);
    vdset_server_close(server);
    vdset_set_close(set);
  }
}
