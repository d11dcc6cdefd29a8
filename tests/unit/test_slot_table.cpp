// tests/unit/test_slot_table.cpp
// Goal: a handle resolves if and only if it is exactly the live one; each refusal has its reason.
// Method: slot words set by hand; the set of live handles computed here by the document's formula;
// all values of the low bits with samples of the rest, and a million random handles.
#include "core/slot_table.hpp"
#include <memory>
#include <unordered_map>
#include "tests/unit/support.hpp"

using namespace vdset;
using namespace vdset::core;

namespace {

RealAtomics a;
constexpr std::uint32_t free_state = 0, live = 1, lent = 2, quarantined = 3;

/// A table over words set by hand, and the handles that are good by the document.
struct Rig {
  std::uint32_t salt, bits, total;
  bool lease;
  std::vector<Word> words = std::vector<Word>(slots_max);
  std::unordered_map<std::uint32_t, std::uint32_t> good;

  Rig(std::uint32_t of_salt, std::uint32_t of_bits, std::uint32_t of_total, bool of_lease)
      : salt(of_salt), bits(of_bits), total(of_total), lease(of_lease) {}

  std::uint32_t handle(std::uint32_t slot, std::uint32_t generation) const {
    const std::uint32_t room = 26 - bits < 20 ? 26 - bits : 20;
    return salt << 26 | (generation & ((1u << room) - 1)) << bits | slot;
  }
  void set(std::uint32_t slot, std::uint32_t state, std::uint32_t generation) {
    words[slot].value = state | 255u << 4 | generation << 12;
    const bool usable = state == lent || (state == live && !lease);
    if (usable && slot < total) good[handle(slot, generation)] = slot;
  }
  SlotTable<RealAtomics> table() const { return {words, HandleCodec(salt, bits), lease}; }

  bool judges(std::uint32_t candidate) const {
    const Resolved found = table().resolve(a, candidate, total);
    const auto due = good.find(candidate);
    if (due == good.end()) return found.refusal != Refusal::none;
    return found.refusal == Refusal::none && found.slot == due->second;
  }
};

Rig random_rig(std::uint32_t bits, bool lease, unit::Random& random) {
  const std::uint32_t total = (1u << bits) - 1 - random() % (1u << (bits - 1));
  Rig rig(1 + random() % 62, bits, total, lease);
  for (std::uint32_t slot = 0; slot < 1u << bits; ++slot)
    rig.set(slot, random() % 4, random() & 0xfffff);
  return rig;
}

}  // namespace

TEST_CASE("all low bits, samples of the rest: accepted if and only if exactly the live handle") {
  unit::Random random(unit::seed());
  for (std::uint32_t bits = 4; bits <= 12; ++bits)
    for (bool lease : {true, false}) {
      const Rig rig = random_rig(bits, lease, random);
      std::vector<std::uint32_t> rests = {0, ~0u, rig.salt << 26, (rig.salt + 1) << 26};
      for (std::uint32_t slot = 0; slot < 8; ++slot)
        for (std::uint32_t bit = 0; bit <= 32 - bits; ++bit)  // The live rest, each bit flipped.
          rests.push_back(rig.handle(slot, rig.words[slot].value >> 12) ^
                          (bit == 32 - bits ? 0 : 1u << (bits + bit)));
      bool right = true;
      for (std::uint32_t rest : rests)
        for (std::uint32_t low = 0; low < 1u << bits; ++low)
          right = right && rig.judges((rest >> bits << bits) | low);
      CAPTURE(bits);
      CAPTURE(lease);
      CHECK(right);
    }
}

TEST_CASE("a million random handles: accepted if and only if exactly the live one") {
  unit::Random random(unit::seed());
  CAPTURE(unit::seed());
  for (std::uint32_t bits = 4; bits <= 12; ++bits) {
    const Rig rig = random_rig(bits, bits % 2 == 0, random);
    const auto table = rig.table();
    std::uint32_t accepted = 0, wrong = 0;
    for (std::uint32_t i = 0; i < 1'000'000; ++i) {
      const std::uint32_t candidate = random();
      const bool resolves = table.resolve(a, candidate, rig.total).refusal == Refusal::none;
      accepted += resolves ? 1 : 0;
      wrong += resolves != rig.good.contains(candidate) ? 1 : 0;
    }
    CAPTURE(bits);
    CHECK(wrong == 0);
    CHECK(accepted < 5000);
    for (const auto& [handle, slot] : rig.good)
      CHECK(table.resolve(a, handle, rig.total).slot == slot);
  }
}

TEST_CASE("every refusal names its reason") {
  Rig rig(5, 4, 10, true);
  rig.set(0, lent, 77);
  rig.set(1, live, 77);
  rig.set(2, free_state, 77);
  rig.set(3, quarantined, 77);
  const auto reason = [&rig](std::uint32_t handle) {
    return rig.table().resolve(a, handle, rig.total).refusal;
  };
  CHECK(reason(rig.handle(0, 77)) == Refusal::none);
  CHECK(reason(0) == Refusal::no_handle);
  CHECK(reason(rig.handle(0, 77) ^ 1u << 31) == Refusal::foreign_set);
  CHECK(reason(1) == Refusal::foreign_set);
  CHECK(reason(rig.handle(10, 77)) == Refusal::out_of_range);
  CHECK(reason(rig.handle(15, 77)) == Refusal::out_of_range);
  CHECK(reason(rig.handle(0, 78)) == Refusal::stale);
  CHECK(reason(rig.handle(0, 76)) == Refusal::stale);
  CHECK(reason(rig.handle(1, 77)) == Refusal::not_lent);
  CHECK(reason(rig.handle(2, 77)) == Refusal::not_lent);
  CHECK(reason(rig.handle(3, 77)) == Refusal::not_lent);
}

TEST_CASE("a live buffer has a handle with buffer lifetime, in lease sets only a lent one has") {
  for (bool lease : {true, false}) {
    Rig rig(62, 5, 4, lease);
    for (std::uint32_t state = 0; state < 4; ++state)
      rig.set(state, state, 0xfffff);
    const auto table = rig.table();
    CHECK(table.handle_of(a, free_state) == 0);
    CHECK(table.handle_of(a, live) == (lease ? 0 : rig.handle(live, 0xfffff)));
    CHECK(table.handle_of(a, lent) == rig.handle(lent, 0xfffff));
    CHECK(table.handle_of(a, quarantined) == 0);
  }
}

TEST_CASE("states that do not exist refuse like a buffer that is not lent") {
  for (bool lease : {true, false})
    for (std::uint32_t state = 4; state < 16; ++state) {
      Rig rig(3, 4, 16, lease);
      rig.set(6, state, 9);
      CHECK(rig.table().resolve(a, rig.handle(6, 9), 16).refusal == Refusal::not_lent);
      CHECK(rig.table().handle_of(a, 6) == 0);
    }
}

TEST_CASE("a handle resolves only once its pool is mapped here") {
  Rig rig(3, 12, 4096, false);
  rig.set(4095, live, 1);
  const std::uint32_t handle = rig.handle(4095, 1);
  CHECK(rig.table().resolve(a, handle, 4096).refusal == Refusal::none);
  CHECK(rig.table().resolve(a, handle, 4095).refusal == Refusal::out_of_range);
  CHECK(rig.table().resolve(a, handle, 0).refusal == Refusal::out_of_range);
}

TEST_CASE("resolving is one load, refused or not, and never outside of the slot words") {
  Rig rig(7, 12, 4096, true);
  rig.set(9, lent, 5);
  unit::Watched watched;
  watched.allow(rig.words.data(), rig.words.size() * sizeof(Word));
  const SlotTable<unit::Watched> table(rig.words, HandleCodec(7, 12), true);
  unit::Random random(unit::seed());
  for (std::uint32_t i = 0; i < 10000; ++i) {
    const std::uint64_t before = watched.accesses;
    static_cast<void>(table.resolve(watched, random(), 4096));
    CHECK(watched.accesses - before <= 1);
  }
  CHECK(table.resolve(watched, rig.handle(9, 5), 4096).slot == 9);
  CHECK(watched.outside == 0);
}
