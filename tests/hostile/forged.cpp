// tests/hostile/forged.cpp
// Goal: no handle is accepted that the set did not give out for a buffer that may have one now, and
// no pointer but a data start is a buffer's.
// Method: 20 million handles and pointers in the normal tier, 10^9 N with VDSET_TEST_DEEP=N, over
// sets of every number of index bits whose slots change state all the time. What is due is decoded
// here from docs/format.md, bit by bit. Kinds: any 32 bits; a good one with bits flipped, of
// another set, of an earlier or later generation, of a slot that is not there; pointers all over
// the pools.
//
// usage: forged [SEED]
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>
#include "core/pool_map.hpp"
#include "core/slot_table.hpp"
#include "tests/hostile/scribbler.hpp"

using namespace vdset::core;
using vdset::hostile::Dice;

namespace {

enum Kind : std::uint32_t { any, flipped, foreign, other_time, beyond, good, pointer, kind_count };
const char* const kind_names[] = {"any bits",        "bits flipped",   "of another set",
                                  "of another time", "beyond the end", "good ones",
                                  "pointers"};

struct Count {
  std::uint64_t tried, accepted, wrong;
};

/// A set of up to four pools; its addresses are never touched.
class World {
 public:
  World(std::uint32_t bits, Dice& dice)
      : bits_(bits),
        salt_(1 + dice.below(salt_max)),
        lease_(dice.below(2) == 0),
        words_(slots_max),
        codec_(salt_, bits),
        slots_(words_, codec_, lease_) {
    const std::uint32_t room = 1u << bits;
    for (std::uint32_t i = 0; i < 4; ++i) {
      const std::uint32_t count = 1 + dice.below(room / 4);
      const PoolPlan plan = plan_pool(map_.slot_total(), count, 512u << dice.below(8),
                                      512u << dice.below(8), dice.below(3) * 700, 4096);
      map_.add(plan, reinterpret_cast<std::byte*>(std::uintptr_t{1} << (40 + i)));
    }
    for (Word& word : words_)
      word.value = dice();
  }

  void try_handle(Kind kind, Dice& dice, Count& count) {
    const std::uint32_t slot = dice.below(map_.slot_total());
    // A state that there is, mostly.
    if (dice.below(4) == 0) words_[slot].value = (dice() & ~15u) | dice.below(5);
    const std::uint32_t handle = forge(kind, slot, dice);
    const Resolved found = slots_.resolve(atomics_, handle, map_.slot_total());
    const bool accepted = found.refusal == Refusal::none;
    const bool right =
        accepted == is_good(handle) && (!accepted || found.slot == (handle & ((1u << bits_) - 1)));
    enter(count, accepted, right);
  }

  void try_pointer(Dice& dice, Count& count) {
    const std::uint32_t slot = dice.below(map_.slot_total());
    const auto start = reinterpret_cast<std::uintptr_t>(map_.data(slot));
    std::uintptr_t at = start;
    switch (dice.below(4)) {
      case 0: break;
      case 1: at += dice.below(9) - 4; break;
      case 2: at += std::uintptr_t{dice()} * 64; break;
      default: at -= std::uintptr_t{dice.below(65536)} * 64;
    }
    const std::uint32_t found = slots_at(at);
    enter(count, found != no_slot, found == due_at(at));
  }

 private:
  static void enter(Count& count, bool accepted, bool right) {
    ++count.tried;
    count.accepted += accepted ? 1 : 0;
    count.wrong += right ? 0 : 1;
  }
  std::uint32_t slots_at(std::uintptr_t at) const {
    return map_.slot_at(reinterpret_cast<const void*>(at));
  }
  /// "Pool row" in docs/format.md: the data starts are a stride apart.
  std::uint32_t due_at(std::uintptr_t at) const {
    for (std::uint32_t i = 0; i < map_.count(); ++i) {
      const PoolPlan& p = map_.plan(i);
      const std::uintptr_t first = (std::uintptr_t{1} << (40 + i)) + p.data_offset;
      const std::uintptr_t stride = std::uintptr_t{p.stride_lines} * 64;
      if (at < first || (at - first) % stride != 0) continue;
      if ((at - first) / stride < p.slot_count)
        return p.first_slot + static_cast<std::uint32_t>((at - first) / stride);
    }
    return no_slot;
  }
  /// "Handles" in docs/format.md.
  bool is_good(std::uint32_t handle) const {
    const std::uint32_t index = handle & ((1u << bits_) - 1);
    if (handle == 0 || handle >> 26 != salt_ || index >= map_.slot_total()) return false;
    const std::uint32_t word = words_[index].value;
    const std::uint32_t state = word & 15u;
    if (state != 2 && (state != 1 || lease_)) return false;
    const std::uint32_t room = 26 - bits_ < 20 ? 26 - bits_ : 20;
    return ((handle & 0x3ffffffu) >> bits_) == ((word >> 12) & ((1u << room) - 1));
  }
  std::uint32_t forge(Kind kind, std::uint32_t slot, Dice& dice) {
    const std::uint32_t generation = words_[slot].value >> 12;
    const std::uint32_t own = codec_.encode(slot, generation);
    switch (kind) {
      case any: return dice();
      case flipped: return own ^ 1u << dice.below(32) ^ 1u << dice.below(32);
      case foreign: return own ^ (1 + dice.below(63)) << 26;
      case other_time: return codec_.encode(slot, generation + dice.below(9) - 4);
      case beyond: return codec_.encode(dice.below(1u << bits_), generation);
      default: return own;
    }
  }

  std::uint32_t bits_, salt_;
  bool lease_;
  std::vector<Word> words_;
  HandleCodec codec_;
  SlotTable<RealAtomics> slots_;
  PoolMap map_;
  RealAtomics atomics_;
};

}  // namespace

int main(int count, char** words) {
  const char* const deep = std::getenv("VDSET_TEST_DEEP");
  const std::uint64_t times = deep != nullptr ? std::strtoull(deep, nullptr, 10) : 0;
  const std::uint64_t total = times > 0 ? times * 1'000'000'000 : 20'000'000;
  const std::uint64_t seed = count > 1 ? std::strtoull(words[1], nullptr, 0) : 20051;
  Dice dice(seed);
  Count counts[kind_count] = {};
  constexpr std::uint64_t per_world = 20'000;
  for (std::uint64_t done = 0; done < total;) {
    World world(index_bits_min + dice.below(index_bits_max - index_bits_min + 1), dice);
    for (std::uint64_t i = 0; i < per_world && done < total; ++i, ++done) {
      const auto kind = static_cast<Kind>(i % kind_count);
      if (kind == pointer)
        world.try_pointer(dice, counts[kind]);
      else
        world.try_handle(kind, dice, counts[kind]);
    }
  }
  std::uint32_t failed = 0;
  for (std::uint32_t kind = 0; kind < kind_count; ++kind) {
    const Count& c = counts[kind];
    std::printf("%-15s %11llu, accepted %10llu, wrongly judged %llu\n", kind_names[kind],
                static_cast<unsigned long long>(c.tried),
                static_cast<unsigned long long>(c.accepted),
                static_cast<unsigned long long>(c.wrong));
    // Handles of another set are never good; any bits hardly ever; of the rest some are.
    const bool may_be_none = kind == any || kind == foreign;
    const bool fine =
        c.wrong == 0 && (c.accepted > 0 || may_be_none) && (c.accepted == 0 || kind != foreign);
    failed += fine ? 0 : 1;
  }
  std::printf("seed %llu\n%u passed, %u failed\n", static_cast<unsigned long long>(seed),
              kind_count - failed, failed);
  return failed == 0 ? 0 : 1;
}
