// tests/unit/test_configure_turns.cpp
// Goal: of two threads that make the same step of a configuration one does it and the other is
// told so; the set works afterwards.
// Method: both at once, many sets.
#include <atomic>
#include <string>
#include <thread>
#include "abi/include/vdset.h"
#include "tests/support/options.hpp"
#include "tests/unit/system.hpp"

using namespace vdset;
using namespace vdset::unit;

namespace {

/// How many of two threads that call at once get OK; the others must get `refusal`.
template <class Call>
int winners(Call call, std::int32_t refusal = VDSET_E_PROTOCOL) {
  std::atomic<int> ready{0}, won{0}, refused{0};
  const auto run = [&] {
    ++ready;
    while (ready < 2) {
    }
    const std::int32_t result = call();
    won += result == VDSET_OK ? 1 : 0;
    refused += result == refusal ? 1 : 0;
  };
  std::thread other(run);
  run();
  other.join();
  CHECK(won + refused == 2);
  return won;
}

/// A set and its server, before BeginConfiguration.
struct Turns {
  explicit Turns(std::uint32_t devices) {
    const auto config = support::wish_for(devices);
    const auto options = support::meeting_in<vdset_set_options>(place.path());
    const auto join = support::meeting_in<vdset_join_options>(place.path());
    REQUIRE(vdset_set_create("turns", &config, &options, &set) == VDSET_OK);
    REQUIRE(vdset_server_open("turns", &join, &server) == VDSET_OK);
  }
  ~Turns() {
    vdset_server_close(server);
    vdset_set_close(set);
  }

  Scratch place;
  vdset_base_configuration base = support::writing_engine();
  vdset_set* set = nullptr;
  vdset_server* server = nullptr;
};

}  // namespace

TEST_CASE("each step of a configuration is made by one of two threads") {
  for (int round = 0; round < 60; ++round) {
    const Turns turns(1);
    vdset_server* const server = turns.server;
    CHECK(winners([&] { return vdset_server_begin_configuration(server, &turns.base); }) == 1);
    REQUIRE(vdset_server_request_buffers(server, 4096, 0, 2) == VDSET_OK);
    CHECK(winners([&] { return vdset_server_end_configuration(server); }) == 1);
    void* buffer = nullptr;
    CHECK(vdset_server_allocate_buffer(server, 4096, 0, &buffer) == VDSET_OK);
  }
}

TEST_CASE("a name is given to one device, also when two threads name one alike") {
  for (int round = 0; round < 20; ++round) {
    const Turns turns(VDSET_DEVICES_MAX);
    REQUIRE(vdset_server_begin_configuration(turns.server, &turns.base) == VDSET_OK);
    REQUIRE(vdset_server_end_configuration(turns.server) == VDSET_OK);
    for (unsigned i = 0; i + 1 < VDSET_DEVICES_MAX; ++i) {
      const std::string name = i == 0 ? "turns" : "turns." + std::to_string(i);
      const auto open = [&] {
        vdset_server_device* device = nullptr;
        return vdset_server_open_device(turns.server, name.c_str(), &device);
      };
      CHECK(winners(open, VDSET_E_INVALID) == 1);
    }
  }
}
