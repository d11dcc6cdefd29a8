// tests/unit/test_handle.cpp
// Goal: handles are those of docs/format.md, "Handles", for every width of the index.
// Method: encode against shifts written here; every bit of a handle matters to has_generation.
#include "core/handle.hpp"
#include "tests/unit/support.hpp"

using namespace vdset;
using namespace vdset::core;

namespace {

/// The document's formula: salt, generation (its low 26-n bits, 20 at most), index.
std::uint32_t documented(std::uint32_t salt, std::uint32_t bits, std::uint32_t slot,
                         std::uint32_t generation) {
  const std::uint32_t room = 26 - bits < 20 ? 26 - bits : 20;
  return salt << 26 | (generation % (1u << room)) << bits | slot;
}

constexpr std::uint32_t generations[] = {0,      1,       2,       0x3ff,   0x1fff,  0x2000, 0x3fff,
                                         0x4000, 0x7ffff, 0x80000, 0xabcde, 0xffffe, 0xfffff};

}  // namespace

TEST_CASE("a handle is salt, generation and index where the document puts them") {
  bool right = true;
  for (std::uint32_t bits = 4; bits <= 12; ++bits)
    for (std::uint32_t salt = 1; salt <= 62; ++salt) {
      const HandleCodec codec(salt, bits);
      right = right && codec.index_bits() == bits;
      for (std::uint32_t slot = 0; slot < 1u << bits; ++slot)
        for (std::uint32_t generation : generations) {
          const std::uint32_t handle = codec.encode(slot, generation);
          right = right && handle == documented(salt, bits, slot, generation) &&
                  codec.has_salt(handle) && codec.slot(handle) == slot &&
                  codec.has_generation(handle, generation) && handle != 0 && handle != ~0u;
        }
    }
  CHECK(right);
}

TEST_CASE("flipping any bit of a handle changes its salt, its slot or its generation") {
  bool caught = true;
  for (std::uint32_t bits = 4; bits <= 12; ++bits)
    for (std::uint32_t generation : generations) {
      const HandleCodec codec(37, bits);
      const std::uint32_t handle = codec.encode(5, generation);
      for (std::uint32_t bit = 0; bit < 32; ++bit) {
        const std::uint32_t other = handle ^ 1u << bit;
        caught = caught && !(codec.has_salt(other) && codec.slot(other) == 5 &&
                             codec.has_generation(other, generation));
      }
    }
  CHECK(caught);
}

TEST_CASE("bits above the 20 of a generation must be zero") {
  const HandleCodec codec(1, 4);  // 6 + 20 + 4: bits 24 and 25 are unused.
  const std::uint32_t handle = codec.encode(3, 0xfffff);
  CHECK(codec.has_generation(handle, 0xfffff));
  CHECK_FALSE(codec.has_generation(handle | 1u << 24, 0xfffff));
  CHECK_FALSE(codec.has_generation(handle | 1u << 25, 0xfffff));
}

TEST_CASE("consecutive generations differ in the handle, for as long as its bits reach") {
  for (std::uint32_t bits = 4; bits <= 12; ++bits) {
    const HandleCodec codec(9, bits);
    const std::uint32_t period = 1u << (26 - bits < 20 ? 26 - bits : 20);
    bool differ = true;
    for (std::uint32_t g = 1; g < period; ++g)
      differ = differ && codec.encode(0, g) != codec.encode(0, 0);
    CHECK(differ);
    CHECK(codec.encode(0, period) == codec.encode(0, 0));
  }
}

TEST_CASE("index bits are as few as the slots need, between 4 and 12") {
  CHECK(HandleCodec::bits_for(0) == 4);
  CHECK(HandleCodec::bits_for(1) == 4);
  CHECK(HandleCodec::bits_for(16) == 4);
  for (std::uint32_t bits = 5; bits <= 12; ++bits) {
    CHECK(HandleCodec::bits_for((1u << (bits - 1)) + 1) == bits);
    CHECK(HandleCodec::bits_for(1u << bits) == bits);
  }
  CHECK(HandleCodec::bits_for(4097) == 12);
}
