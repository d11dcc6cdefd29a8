// tests/unit/test_configuration.cpp
// Goal: VDI's rules for configurations (vdi-semantics 3.1 to 3.3), no more and no less.
// Method: every legal mix; a list of illegal ones; both edges of every range.
#include "core/configuration.hpp"
#include <set>
#include "tests/unit/support.hpp"

using namespace vdset;
using namespace vdset::core;
using Fault = ConfigurationFault;

namespace {

constexpr std::uint32_t kinds[] = {0x0, 0x1, 0x173, 0x200, 0x201};

std::uint32_t addition(std::uint32_t i) {
  return ((i & 1) != 0 ? 0x80u : 0u) | ((i & 2) != 0 ? 0x400u : 0u) | ((i & 4) != 0 ? 0x2000u : 0u);
}

Configuration wish_of(std::uint32_t features) {
  Configuration c{};
  c.device_count = 1;
  c.features = features;
  return c;
}

std::set<std::uint32_t> legal_mixes() {
  std::set<std::uint32_t> all;
  for (std::uint32_t kind : kinds)
    for (std::uint32_t i = 0; i < 8; ++i)
      all.insert(kind | addition(i));
  return all;
}

Fault base(std::uint32_t wished, std::uint32_t features, std::uint32_t block = 512,
           std::uint32_t alignment = 0, std::uint32_t transfer = 65536) {
  return judge_base(wish_of(wished), features, block, alignment, transfer);
}

}  // namespace

TEST_CASE("every kind of device is legal with every addition") {
  for (std::uint32_t features : legal_mixes()) {
    CAPTURE(features);
    CHECK(judge_wish(wish_of(features)) == Fault::none);
  }
  CHECK(legal_mixes().size() == 40);
}

TEST_CASE("of all other mixes of the sixteen low bits none is legal") {
  const std::set<std::uint32_t> legal = legal_mixes();
  std::uint32_t refused = 0, wrong = 0;
  for (std::uint32_t features = 0; features < 0x10000; ++features) {
    if (legal.contains(features)) continue;
    refused += judge_wish(wish_of(features)) == Fault::features ? 1 : 0;
    wrong += judge_wish(wish_of(features)) == Fault::none ? 1 : 0;
  }
  CHECK(wrong == 0);
  CHECK(refused == 0x10000 - 40);
}

TEST_CASE("64 mixes that programs might try are refused") {
  std::vector<std::uint32_t> illegal = {
      0x2,   0x10,  0x20,  0x40,  0x100, 0x3,   0x11,  0x21,  0x41,  0x101, 0x12,  0x30,  0x60,
      0x172, 0x171, 0x163, 0x153, 0x133, 0x73,  0x373, 0x372, 0x202, 0x210, 0x220, 0x240, 0x300,
      0x203, 0x211, 0x221, 0x241, 0x301, 0x4,   0x8,   0x800, 0x1000, 0x4000, 0x8000, 0x973};
  for (std::uint32_t kind : kinds)  // Bits that only a server may set, and those nobody may.
    for (std::uint32_t bit : {0x10000u, 0x20000u, 0x40000u, 0x80000000u, 0x100000u})
      illegal.push_back(kind | bit);
  illegal.push_back(~0u);
  CHECK(illegal.size() == 64);
  for (std::uint32_t features : illegal) {
    CAPTURE(features);
    CHECK(judge_wish(wish_of(features)) == Fault::features);
    CHECK(judge_wish(wish_of(features | 0x2480)) == Fault::features);
  }
}

TEST_CASE("1 to 64 devices") {
  Configuration c = wish_of(0);
  for (std::uint32_t n : {1u, 2u, 64u}) {
    c.device_count = n;
    CHECK(judge_wish(c) == Fault::none);
  }
  for (std::uint32_t n : {0u, 65u, 0x80000000u, ~0u}) {
    c.device_count = n;
    CHECK(judge_wish(c) == Fault::device_count);
  }
}

TEST_CASE("a prefix zone of up to 4 MiB and an alignment of up to 64 KiB, also odd ones") {
  Configuration c = wish_of(0);
  for (std::uint32_t n : {0u, 1u, 1000u, 4194304u}) {
    c.prefix_zone_bytes = n;
    CHECK(judge_wish(c) == Fault::none);
  }
  c.prefix_zone_bytes = 4194305;
  CHECK(judge_wish(c) == Fault::prefix);
  c.prefix_zone_bytes = 0;
  for (std::uint32_t n : {0u, 1u, 1024u, 1025u, 65536u}) {
    c.alignment_bytes = n;
    CHECK(judge_wish(c) == Fault::none);
  }
  c.alignment_bytes = 65537;
  CHECK(judge_wish(c) == Fault::alignment);
}

TEST_CASE("what only the server sets is ignored on input, whatever it says") {
  Configuration c = wish_of(0x173);
  c.soft_file_mark_block_bytes = ~0u;
  c.eom_warning_bytes = ~0u;
  c.server_timeout_ms = ~0u;
  c.block_bytes = 1;
  c.max_io_depth = ~0u;
  c.max_transfer_bytes = 3;
  c.buffer_area_bytes = ~0u;
  CHECK(judge_wish(c) == Fault::none);
}

TEST_CASE("the server's features are the client's and a direction") {
  for (std::uint32_t features : legal_mixes()) {
    CAPTURE(features);
    for (std::uint32_t direction : {0x10000u, 0x20000u, 0x30000u})
      CHECK(base(features, features | direction) == Fault::none);
    CHECK(base(features, features) == Fault::server_features);
    CHECK(base(features, features | 0x10000 | 0x80000000) == Fault::server_features);
    CHECK(base(features, features | 0x10000 | 0x1000) == Fault::server_features);
  }
  CHECK(base(0, 0x200 | 0x10000) == Fault::server_features);
  CHECK(base(0x201, 0x200 | 0x10000) == Fault::none);  // A server may do without.
}

TEST_CASE("Complete is enabled only for a client that asked for it") {
  CHECK(base(0, 0x10000 | 0x40000) == Fault::server_features);
  CHECK(base(0x2000, 0x2000 | 0x10000 | 0x40000) == Fault::none);
  CHECK(base(0x2000, 0x2000 | 0x10000) == Fault::none);
}

TEST_CASE("blocks are powers of two from 512 to 64 KiB") {
  for (std::uint32_t block = 512; block <= 65536; block *= 2)
    CHECK(base(0, 0x10000, block) == Fault::none);
  for (std::uint32_t block : {0u, 1u, 256u, 511u, 513u, 768u, 131072u, 0x80000000u, ~0u})
    CHECK(base(0, 0x10000, block) == Fault::block);
}

TEST_CASE("the server's alignment is 0, or a power of two from the block to 64 KiB") {
  for (std::uint32_t block = 512; block <= 65536; block *= 2) {
    CHECK(base(0, 0x10000, block, 0) == Fault::none);
    for (std::uint32_t alignment = block; alignment <= 65536; alignment *= 2)
      CHECK(base(0, 0x10000, block, alignment) == Fault::none);
    CHECK(base(0, 0x10000, block, block / 2) == Fault::alignment);
    CHECK(base(0, 0x10000, block, 131072) == Fault::alignment);
  }
  for (std::uint32_t alignment : {1u, 513u, 768u, 65535u, ~0u})
    CHECK(base(0, 0x10000, 512, alignment) == Fault::alignment);
}

TEST_CASE("transfers are multiples of 64 KiB up to 4 MiB") {
  for (std::uint32_t n = 1; n <= 64; ++n)
    CHECK(base(0, 0x10000, 512, 0, n * 65536) == Fault::none);
  for (std::uint32_t n : {0u, 1u, 65535u, 65537u, 98304u, 4194304u + 65536u, 0xffff0000u})
    CHECK(base(0, 0x10000, 512, 0, n) == Fault::transfer);
}

TEST_CASE("the agreed alignment is the stricter one, rounded up to a power of two") {
  CHECK(agreed_alignment(0, 512, 0) == 512);
  CHECK(agreed_alignment(0, 512, 4096) == 4096);
  CHECK(agreed_alignment(1024, 512, 0) == 1024);
  CHECK(agreed_alignment(1025, 512, 0) == 2048);
  CHECK(agreed_alignment(1024, 512, 4096) == 4096);
  CHECK(agreed_alignment(65536, 512, 0) == 65536);
  CHECK(agreed_alignment(40000, 512, 512) == 65536);
  CHECK(io_depth_reported == 4);
}
