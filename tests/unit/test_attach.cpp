// tests/unit/test_attach.cpp
// Goal: a client takes the parts of the set that the message speaks of, and nothing else.
// Method: parts made here as a server makes them, one thing wrong at a time; the descriptors of the
// process counted before and after.
#include <cstring>
#include <memory>
#include "abi/set.hpp"
#include "core/region.hpp"
#include "tests/unit/system.hpp"

using namespace vdset;
using namespace vdset::unit;

namespace {

constexpr core::Geometry geometry{2, 8, 4096, 0, 5, {11, 22, 33, 44}};

int part(std::uint64_t bytes, bool with_header, port::Seal seal) {
  const int descriptor = port::memory_create(bytes);
  REQUIRE(descriptor >= 0);
  if (with_header) {
    port::Mapping s;
    REQUIRE(port::memory_map(descriptor, bytes, true, s) == 0);
    core::write_header(atomics, *core::server_part(s.span(), geometry).header, geometry);
    port::memory_unmap(s);
  }
  REQUIRE(port::memory_seal(descriptor, seal) == 0);
  return descriptor;
}

/// What attach says of parts as a server makes them, with a message that `spoil` changed.
template <class Spoil>
std::int32_t attach_with(Spoil spoil, std::uint32_t me = 2) {
  const std::size_t before = descriptor_count();
  const auto set = std::make_unique<vdset_set>();
  std::int32_t result;
  {
    Message message;
    std::memcpy(message.uuid, geometry.uuid, sizeof message.uuid);
    spoil(message);
    Descriptors parts;
    parts.at[0] = part(geometry.s_bytes(), true, port::Seal::fixed_size_and_writers);
    parts.at[1] = part(geometry.w_bytes(), false, port::Seal::fixed_size);
    parts.count = 2;
    result = attach(*set, message, parts, me, 1);
  }
  CHECK((set->wake != nullptr) == (result == VDSET_OK));
  port::memory_unmap(set->s);
  port::memory_unmap(set->w);
  CHECK(descriptor_count() == before);
  return result;
}

}  // namespace

TEST_CASE("parts are taken when they are of the set that the message speaks of") {
  CHECK(attach_with([](Message&) {}) == VDSET_OK);
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(attach_with([i](Message& m) { m.uuid[i] ^= 1; }) == VDSET_E_UNEXPECTED);
}

TEST_CASE("a secondary is given no place of the server or the primary, nor one beyond the table") {
  for (std::uint32_t me : {0u, 1u, 255u, 256u, ~0u})
    CHECK(attach_with([](Message&) {}, me) == VDSET_E_UNEXPECTED);
  for (std::uint32_t me : {2u, 3u, 254u})
    CHECK(attach_with([](Message&) {}, me) == VDSET_OK);
}
