// tests/unit/test_config.cpp
// Goal: the limits are those that the documents promise.
// Method: numbers copied from docs/format.md, decisions 2 and 3, and VDI's tables (3.1).
#include "core/config.hpp"
#include "tests/unit/support.hpp"

using namespace vdset::core;

TEST_CASE("limits of devices, queues and participants are the documented ones") {
  CHECK(devices_max == 64);
  CHECK(queue_depth_min == 8);
  CHECK(queue_depth_max == 128);
  CHECK(queue_depth_default == 16);
  CHECK(participants_max == 255);
  CHECK(nobody == 255);
  CHECK(server_index == 0);
  CHECK(primary_index == 1);
  CHECK(first_secondary_index == 2);
  CHECK(name_bytes_max == 255);
  CHECK(reason_text_bytes_max == 128);
}

TEST_CASE("limits of buffers and handles are the documented ones") {
  CHECK(pools_max == 8);
  CHECK(slots_max == 4096);
  CHECK(index_bits_min == 4);
  CHECK(index_bits_max == 12);
  CHECK(salt_bits == 6);
  CHECK(salt_max == 62);
  CHECK(generation_bits == 20);
  CHECK(line_bytes == 64);
  CHECK(prefix_bytes_max == 4194304);
  CHECK(transfer_bytes_max == 4194304);
  CHECK(transfer_unit_bytes == 65536);
  CHECK(alignment_max == 65536);
  CHECK(block_bytes_min == 512);
  CHECK(block_bytes_max == 65536);
  CHECK(page_bytes_min == 4096);
}
