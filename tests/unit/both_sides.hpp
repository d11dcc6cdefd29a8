// tests/unit/both_sides.hpp: a set whose server and primary are one thread, with one device open.
#pragma once
#include "abi/include/vdset.h"
#include "tests/support/options.hpp"
#include "tests/unit/system.hpp"

namespace vdset::unit {

inline constexpr std::uint32_t transfer_bytes = 4096;

struct BothSides {
  Scratch place;
  vdset_set* set = nullptr;
  vdset_device* device = nullptr;
  vdset_server* server = nullptr;
  vdset_server_device* server_device = nullptr;
  vdset_command write{};

  BothSides() {
    auto config = support::wish_for(1);
    const auto options = support::meeting_in<vdset_set_options>(place.path());
    const auto join = support::meeting_in<vdset_join_options>(place.path());
    const auto base = support::writing_engine();
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
};

}  // namespace vdset::unit
