// tests/unit/both_sides.hpp: a set whose server and primary are one thread, with one device open.
#pragma once
#include "abi/include/vdset.h"
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
};

}  // namespace vdset::unit
