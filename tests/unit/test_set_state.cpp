// tests/unit/test_set_state.cpp
// Goal: what the server writes about the whole set is found by a reader that follows
// docs/format.md, "State, at 256", and what cannot be is refused or cut.
// Method: bytes at the document's offsets, read and written by hand.
#include "core/set_state.hpp"
#include "tests/unit/support.hpp"

using namespace vdset;
using namespace vdset::core;

namespace {

RealAtomics a;

struct Rig {
  std::uint32_t raw[1024] = {};
  SetWords<RealAtomics> words{*reinterpret_cast<ServerHeader*>(raw)};
  const ServerHeader& header() const { return *reinterpret_cast<const ServerHeader*>(raw); }
  std::uint32_t& at(std::size_t offset) { return raw[offset / 4]; }
};

AbortRecord record_of(std::size_t bytes) {
  AbortRecord r{2, 4711, 3, 995, static_cast<std::uint32_t>(bytes), {}};
  for (std::size_t i = 0; i < bytes; ++i)
    r.text[i] = static_cast<char>('!' + i % 90);
  return r;
}

}  // namespace

TEST_CASE("the state is published at 256 and read back") {
  Rig rig;
  CHECK(read_state(a, rig.header()) == SetState::none);
  for (std::uint32_t state = 1; state <= 4; ++state) {
    rig.words.publish_state(a, static_cast<SetState>(state));
    CHECK(rig.at(256) == state);
    CHECK(read_state(a, rig.header()) == static_cast<SetState>(state));
    CHECK(rig.words.state() == static_cast<SetState>(state));
  }
}

TEST_CASE("aborted absorbs every later state") {
  for (std::uint32_t from = 0; from <= 4; ++from) {
    Rig rig;
    rig.words.publish_state(a, static_cast<SetState>(from));
    rig.words.publish_state(a, SetState::aborted);
    for (std::uint32_t to = 0; to <= 5; ++to) {
      rig.words.publish_state(a, static_cast<SetState>(to));
      CHECK(rig.at(256) == 5);
      CHECK(rig.words.state() == SetState::aborted);
    }
  }
}

TEST_CASE("the configuration lies at 320 in VDI's order, the index bits at 364") {
  Rig rig;
  const Configuration c{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  rig.words.write_configuration(a, c, 9);
  for (std::uint32_t i = 0; i < 11; ++i)
    CHECK(rig.at(320 + 4 * i) == i + 1);
  CHECK(rig.at(364) == 9);
  CHECK(rig.at(368) == 0);
  Configuration back{};
  std::uint32_t bits = 0;
  CHECK(read_configuration(a, rig.header(), back, bits));
  CHECK(std::memcmp(&back, &c, sizeof c) == 0);
  CHECK(bits == 9);
}

TEST_CASE("index bits or a prefix zone that cannot be are refused, and nothing is written") {
  Rig rig;
  rig.words.write_configuration(a, {1, 2, 4194304, 4, 5, 6, 7, 8, 9, 10, 11}, 12);
  Configuration back{};
  std::uint32_t bits = 99;
  CHECK(read_configuration(a, rig.header(), back, bits));
  CHECK(bits == 12);
  back = {};
  bits = 99;
  for (std::uint32_t value : {0u, 3u, 13u, 32u, ~0u}) {
    rig.at(364) = value;
    CHECK_FALSE(read_configuration(a, rig.header(), back, bits));
  }
  rig.at(364) = 4;
  for (std::uint32_t value : {4194305u, 0x80000000u, ~0u}) {
    rig.at(328) = value;
    CHECK_FALSE(read_configuration(a, rig.header(), back, bits));
  }
  CHECK(back.device_count == 0);
  CHECK(bits == 99);
}

TEST_CASE("pool rows stand at 640, and the count at 384 grows with each") {
  Rig rig;
  for (std::uint32_t i = 0; i < 8; ++i) {
    const PoolPlan plan{i, i + 1, i + 2, i + 3, i + 4, i + 5, i + 6};
    rig.words.publish_pool(a, i, plan);
    CHECK(rig.at(384) == i + 1);
    for (std::uint32_t f = 0; f < 7; ++f)
      CHECK(rig.at(640 + 64 * i + 4 * f) == i + f);
  }
  CHECK(rig.at(1152) == 0);
}

TEST_CASE("an abort record is found with a text of every length, none to the full 128 bytes") {
  for (std::size_t bytes = 0; bytes <= 128; ++bytes) {
    Rig rig;
    AbortRecord back{};
    CHECK_FALSE(read_abort(a, rig.header(), back));
    const AbortRecord r = record_of(bytes);
    rig.words.record_abort(a, r);
    CAPTURE(bytes);
    CHECK(rig.at(448) == 1);
    CHECK(rig.at(452) == 2);
    CHECK(rig.at(456) == 4711);
    CHECK(rig.at(460) == 3);
    CHECK(rig.at(464) == 995);
    CHECK(rig.at(468) == bytes);
    CHECK(std::memcmp(&rig.at(512), r.text, 128) == 0);
    CHECK(rig.at(640) == 0);
    REQUIRE(read_abort(a, rig.header(), back));
    CHECK(std::memcmp(&back, &r, sizeof r) == 0);
  }
}

TEST_CASE("the first abort record wins") {
  Rig rig;
  rig.words.record_abort(a, record_of(5));
  AbortRecord second = record_of(9);
  second.pid = 1;
  rig.words.record_abort(a, second);
  AbortRecord back{};
  REQUIRE(read_abort(a, rig.header(), back));
  CHECK(back.pid == 4711);
  CHECK(back.text_bytes == 5);
}

TEST_CASE("a text length that cannot be is cut to the field") {
  Rig rig;
  rig.words.record_abort(a, record_of(128));
  for (std::uint32_t bytes : {129u, 4096u, ~0u}) {
    rig.at(468) = bytes;
    AbortRecord back{};
    REQUIRE(read_abort(a, rig.header(), back));
    CHECK(back.text_bytes == 128);
  }
}

TEST_CASE("devices and participants are published as their words") {
  DeviceRow device{};
  publish_device(a, device, {DeviceState::open, 7, 3});
  CHECK(device.device.value == (2u | 7u << 4 | 3u << 12));
  ParticipantRow row{};
  publish_participant(a, row, {ParticipantState::active, 3, 5}, 4242);
  CHECK(row.participant.value == (1u | 3u << 4 | 5u << 12));
  CHECK(row.pid.value == 4242);
  const ParticipantIdentity who = read_participant(a, row);
  CHECK(who.role == Role::secondary);
  CHECK(who.pid == 4242);
}

TEST_CASE("a participant row of an unknown role is nobody's") {
  for (std::uint32_t role : {0u, 4u, 77u, 255u}) {
    const ParticipantRow row{{1u | role << 4}, {1}, {}};
    CHECK(read_participant(a, row).role == Role::none);
  }
  const ParticipantRow empty{};
  CHECK(read_participant(a, empty).pid == 0);
}

TEST_CASE("the first aborter wins, and any value but zero means aborted") {
  WakeWords wake{};
  CHECK(abort_requested(a, wake) == 0);
  CHECK(request_abort(a, wake, 1, 2));
  CHECK(wake.abort.event.value == (1u | 1u << 1 | 2u << 8));
  CHECK_FALSE(request_abort(a, wake, 3, 9));
  CHECK(abort_requested(a, wake) == (1u | 1u << 1 | 2u << 8));
  wake.abort.event.value = 0x80000000u;  // Scribbled.
  CHECK(abort_requested(a, wake) != 0);
  CHECK_FALSE(request_abort(a, wake, 1, 2));
}
