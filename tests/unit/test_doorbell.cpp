// tests/unit/test_doorbell.cpp
// Goal: event words change as docs/format.md, "Part W", says: bit 0 a sleeper, bit 1 a descriptor,
// the rest a sequence that wraps.
// Method: each call on words set by hand, then the whole word. Interleavings are the explorer's.
#include "core/doorbell.hpp"
#include "tests/unit/support.hpp"

using namespace vdset;
using namespace vdset::core;

namespace {
RealAtomics a;
}

TEST_CASE("nobody asleep: ringing changes nothing and asks for no wake") {
  for (std::uint32_t value : {0u, 4u, 0x80000000u, 0xfffffffcu}) {
    Word bell{value};
    CHECK_FALSE(ring_bell(a, bell));
    CHECK(bell.value == value);
  }
}

TEST_CASE("a sleeper or a descriptor: ringing moves the sequence and asks for a wake") {
  for (std::uint32_t bits : {1u, 2u, 3u}) {
    Word bell{0x40 | bits};
    CHECK(ring_bell(a, bell));
    CHECK(bell.value == (0x44 | bits));
  }
}

TEST_CASE("the sequence wraps without touching the bits") {
  Word bell{0xffffffffu};
  CHECK(ring_bell(a, bell));
  CHECK(bell.value == 3);
  bell.value = 0xfffffffeu;
  force_bell(a, bell);
  CHECK(bell.value == 2);
}

TEST_CASE("a forced bell moves whether or not anybody sleeps") {
  for (std::uint32_t bits = 0; bits < 4; ++bits) {
    Word bell{bits};
    force_bell(a, bell);
    CHECK(bell.value == bits + 4);
  }
}

TEST_CASE("arming returns the value to sleep on, and a ring after it makes that value old") {
  Word bell{0x10};
  const std::uint32_t value = arm_bell(a, bell);
  CHECK(value == 0x11);
  CHECK(bell.value == value);
  CHECK(arm_bell(a, bell) == value);
  CHECK(ring_bell(a, bell));
  CHECK(bell.value != value);
}

TEST_CASE("arming for a descriptor sets bit 1 alone, and a ring tells which bits it found") {
  Word bell{0x10};
  CHECK(arm_bell(a, bell, event_descriptor) == 0x12);
  CHECK(bell.value == 0x12);
  CHECK(ring_bell(a, bell) == event_descriptor);
  CHECK(bell.value == 0x16);
  CHECK(arm_bell(a, bell) == 0x17);
  CHECK(ring_bell(a, bell) == (event_armed | event_descriptor));
}

TEST_CASE("disarming clears the waiter's bits alone, and twice is as good as once") {
  for (std::uint32_t bits : {1u, 2u, 3u}) {
    Word bell{0x14 | bits};
    disarm_bell(a, bell);
    CHECK(bell.value == 0x14);
    disarm_bell(a, bell);
    CHECK(bell.value == 0x14);
  }
}

TEST_CASE("a publisher that died between bump and wake leaves the bit for the next one") {
  Word bell{0};
  const std::uint32_t value = arm_bell(a, bell);
  CHECK(ring_bell(a, bell));  // It dies here: no wake.
  CHECK(bell.value != value);
  CHECK(ring_bell(a, bell));  // The next one wakes.
}

TEST_CASE("the set's bell is watched without being armed") {
  const Word bell{0x24};
  CHECK(watch_bell(a, bell) == 0x24);
}
