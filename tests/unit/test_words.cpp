// tests/unit/test_words.cpp
// Goal: the packed words are those of docs/format.md, "Packed words", bit by bit.
// Method: every state and participant with sampled generations against shifts written here; every
// 20-bit distance from several bases, wrap included.
#include "core/words.hpp"
#include "tests/unit/support.hpp"

using namespace vdset;
using namespace vdset::core;

namespace {

std::vector<std::uint32_t> sampled_generations() {
  std::vector<std::uint32_t> all = {0, 0xfffff, 0xffffe, 0x7ffff, 0x80001, 0x12345, 0xabcde};
  for (std::uint32_t bit = 0; bit < 20; ++bit)
    all.push_back(1u << bit);
  return all;
}

template <class State>
bool packs_as_documented() {
  for (std::uint32_t generation : sampled_generations())
    for (std::uint32_t participant = 0; participant < 256; ++participant)
      for (std::uint32_t state = 0; state < 16; ++state) {
        const std::uint32_t due = state | participant << 4 | generation << 12;
        const OwnedWord<State> word{static_cast<State>(state), participant, generation};
        if (word.pack() != due) return false;
        const auto back = OwnedWord<State>::unpack(due);
        if (back.state != word.state || back.participant != participant ||
            back.generation != generation)
          return false;
      }
  return true;
}

}  // namespace

TEST_CASE("the four owned words pack state, participant and generation as the document says") {
  CHECK(packs_as_documented<CommandState>());
  CHECK(packs_as_documented<SlotState>());
  CHECK(packs_as_documented<DeviceState>());
  CHECK(packs_as_documented<ParticipantState>());
}

TEST_CASE("unpacking any 32 bits and packing them again changes nothing") {
  unit::Random random(unit::seed());
  bool same = true;
  for (std::uint32_t low = 0; low < 0x10000; ++low) {
    const std::uint32_t word = low | (random() << 16);
    same = same && CommandWord::unpack(word).pack() == word;
    same = same && CommandWord::unpack(~word).pack() == ~word;
  }
  CHECK(same);
}

TEST_CASE("fields that do not fit are cut to their bits and never reach a neighbour") {
  CHECK(SlotWord{SlotState::live, 0x1ff, 0}.pack() == (1u | 0xffu << 4));
  CHECK(SlotWord{SlotState::live, 0, 0x1fffff}.pack() == (1u | 0xfffffu << 12));
}

TEST_CASE("the numbers of the states are those of the document") {
  const auto number = [](auto state) { return static_cast<std::uint32_t>(state); };
  CHECK(number(CommandState::idle) == 0);
  CHECK(number(CommandState::taken) == 1);
  CHECK(number(CommandState::completing) == 2);
  CHECK(number(CommandState::done) == 3);
  CHECK(number(CommandState::failed) == 4);
  CHECK(number(CommandState::offered) == 5);
  CHECK(number(SlotState::free) == 0);
  CHECK(number(SlotState::live) == 1);
  CHECK(number(SlotState::lent) == 2);
  CHECK(number(SlotState::quarantined) == 3);
  CHECK(number(DeviceState::unnamed) == 0);
  CHECK(number(DeviceState::named) == 1);
  CHECK(number(DeviceState::open) == 2);
  CHECK(number(DeviceState::closed) == 3);
  CHECK(number(ParticipantState::free) == 0);
  CHECK(number(ParticipantState::active) == 1);
  CHECK(number(ParticipantState::left) == 2);
  CHECK(number(ParticipantState::dead) == 3);
}

TEST_CASE("the numbers of set states, roles, gates and event bits are those of the document") {
  const auto number = [](auto state) { return static_cast<std::uint32_t>(state); };
  CHECK(number(SetState::none) == 0);
  CHECK(number(SetState::configurable) == 1);
  CHECK(number(SetState::initializing) == 2);
  CHECK(number(SetState::active) == 3);
  CHECK(number(SetState::terminated) == 4);
  CHECK(number(SetState::aborted) == 5);
  CHECK(number(Role::none) == 0);
  CHECK(number(Role::server) == 1);
  CHECK(number(Role::primary) == 2);
  CHECK(number(Role::secondary) == 3);
  CHECK(gate_open == 0);
  CHECK(gate_io_error == 1);
  CHECK(event_armed == 1);
  CHECK(event_descriptor == 2);
  CHECK(event_step == 4);
}

TEST_CASE("the abort word holds its flag, 7 bits of reason and 8 of participant, the rest zero") {
  bool right = true;
  for (std::uint32_t reason = 0; reason < 128; ++reason)
    for (std::uint32_t participant = 0; participant < 256; ++participant) {
      const std::uint32_t word = AbortWord{true, reason, participant}.pack();
      right = right && word == (1u | reason << 1 | participant << 8);
      const AbortWord back = AbortWord::unpack(word);
      right = right && back.aborted && back.reason == reason && back.participant == participant;
    }
  CHECK(right);
  CHECK_FALSE(AbortWord::unpack(0xfffffffeu).aborted);
  CHECK(AbortWord{true, 0xff, 0x1ff}.pack() == 0xffffu);
}

TEST_CASE("the distance of two generations is signed over the whole ring of 20 bits") {
  bool right = true;
  for (std::uint32_t base : {0u, 1u, 0x7ffffu, 0x80000u, 0xfffffu, 0x13579u})
    for (std::int32_t d = -0x80000; d < 0x80000; ++d) {
      const std::uint32_t other = (base + static_cast<std::uint32_t>(d)) & 0xfffff;
      right = right && generation_distance(other, base) == d;
    }
  CHECK(right);
}

TEST_CASE("the distance looks at 20 bits only, so counters may run on beyond them") {
  CHECK(generation_distance(0x100000, 0) == 0);
  CHECK(generation_distance(0xffffffff, 0) == -1);
  CHECK(generation_distance(0, 0xffffffff) == 1);
  CHECK(generation_distance(0x100000 - 1, 0x200000 - 3) == 2);
}
