// tests/unit/test_buffer_pool.cpp
// Goal: the server's allocator gives each buffer to one owner at a time, reuses as late as it can,
// and shows in S what docs/format.md, "Slot word", says.
// Method: call by call with the published word looked at; then at random against a model.
#include <sched.h>
#include <deque>
#include <thread>
#include "core/buffer_pool.hpp"
#include "core/slot_table.hpp"
#include "tests/unit/support.hpp"

using namespace vdset;
using namespace vdset::core;

namespace {

RealAtomics a;

struct Rig {
  std::vector<Word> words = std::vector<Word>(slots_max);
  BufferPool<RealAtomics> pool;
  bool lease;
  std::uint32_t slots = 0;

  explicit Rig(bool of_lease = true) : pool(words, of_lease), lease(of_lease) {}

  void add(std::uint32_t count, std::uint32_t bytes, std::uint32_t alignment = 512) {
    pool.add_pool(a, plan_pool(slots, count, bytes, alignment, 0, 4096), 12345 + slots);
    slots += count;
  }
  SlotWord word(std::uint32_t slot) const { return SlotWord::unpack(words[slot].value); }
  bool shows(std::uint32_t slot, SlotState state, std::uint32_t participant,
             std::uint32_t generation) const {
    const SlotWord w = word(slot);
    return w.state == state && w.participant == participant &&
           w.generation == (generation & 0xfffff) && pool.state(a, slot) == state &&
           pool.generation(a, slot) == (generation & 0xfffff);
  }
  Refusal resolve(std::uint32_t handle) const {
    return SlotTable<RealAtomics>(words, codec(), lease).resolve(a, handle, slots).refusal;
  }
  HandleCodec codec() const { return {17, 12}; }
};

}  // namespace

TEST_CASE("a new pool is free, with scattered generations") {
  Rig rig;
  rig.add(64, 65536);
  std::vector<std::uint32_t> seen;
  for (std::uint32_t slot = 0; slot < 64; ++slot) {
    CHECK(rig.word(slot).state == SlotState::free);
    CHECK(rig.word(slot).participant == nobody);
    for (std::uint32_t other : seen)
      CHECK(rig.word(slot).generation != other);
    seen.push_back(rig.word(slot).generation);
  }
  CHECK(rig.words[64].value == 0);
}

TEST_CASE("allocating moves the generation and shows a live buffer that belongs to nobody") {
  Rig rig;
  rig.add(2, 65536);
  const std::uint32_t before = rig.word(0).generation;
  CHECK(rig.pool.allocate(a, 65536, 512) == 0);
  CHECK(rig.shows(0, SlotState::live, nobody, before + 1));
}

TEST_CASE("buffers are reused in the order they were freed: as late as can be") {
  Rig rig;
  rig.add(4, 1024);
  for (std::uint32_t i = 0; i < 4; ++i)
    CHECK(rig.pool.allocate(a, 1024, 1) == i);
  CHECK(rig.pool.allocate(a, 1024, 1) == no_slot);
  for (std::uint32_t slot : {2u, 0u, 3u, 1u})
    CHECK(rig.pool.release(a, slot));
  for (std::uint32_t slot : {2u, 0u, 3u, 1u})
    CHECK(rig.pool.allocate(a, 1024, 1) == slot);
}

TEST_CASE("the smallest class that fits serves, also when it came later; then the next") {
  Rig rig;
  rig.add(1, 65536, 4096);   // slot 0
  rig.add(1, 1024, 512);     // slot 1
  rig.add(1, 1048576, 512);  // slot 2
  CHECK(rig.pool.available(1024, 512) == 3);
  CHECK(rig.pool.available(1025, 512) == 2);
  CHECK(rig.pool.available(1024, 4096) == 1);
  CHECK(rig.pool.allocate(a, 1000, 512) == 1);
  CHECK(rig.pool.allocate(a, 1000, 512) == 0);
  CHECK(rig.pool.allocate(a, 1000, 512) == 2);
  CHECK(rig.pool.allocate(a, 1000, 512) == no_slot);
  CHECK(rig.pool.available(1, 1) == 0);
  CHECK(rig.pool.fits(1048576, 512));
  CHECK_FALSE(rig.pool.fits(1048577, 1));
  CHECK_FALSE(rig.pool.fits(1, 8192));
  CHECK_FALSE(rig.pool.fits(65537, 4096));
}

TEST_CASE("a stricter alignment is served by a class that has it") {
  Rig rig;
  rig.add(1, 4096, 512);
  rig.add(1, 65536, 65536);
  CHECK(rig.pool.allocate(a, 100, 4096) == 1);
  CHECK(rig.pool.allocate(a, 100, 4096) == no_slot);
  CHECK(rig.pool.allocate(a, 100, 512) == 0);
}

TEST_CASE("lending names the consumer and is possible once") {
  Rig rig;
  rig.add(1, 1024);
  CHECK_FALSE(rig.pool.lend(a, 0, 5));  // Not allocated.
  REQUIRE(rig.pool.allocate(a, 1, 1) == 0);
  const std::uint32_t generation = rig.pool.generation(a, 0);
  CHECK(rig.pool.lend(a, 0, 5));
  CHECK(rig.shows(0, SlotState::lent, 5, generation));
  CHECK_FALSE(rig.pool.lend(a, 0, 5));
  CHECK_FALSE(rig.pool.release(a, 0));
  CHECK(rig.shows(0, SlotState::lent, 5, generation));
}

TEST_CASE("taken back, a buffer keeps its generation: nobody saw the handle") {
  for (bool lease : {true, false}) {
    Rig rig(lease);
    rig.add(1, 1024);
    REQUIRE(rig.pool.allocate(a, 1, 1) == 0);
    const std::uint32_t generation = rig.pool.generation(a, 0);
    REQUIRE(rig.pool.lend(a, 0, nobody));
    rig.pool.take_back(a, 0);
    CHECK(rig.shows(0, SlotState::live, nobody, generation));
  }
}

TEST_CASE("given back, the generation moves in lease sets and stays in buffer sets") {
  for (bool lease : {true, false}) {
    Rig rig(lease);
    rig.add(1, 1024);
    REQUIRE(rig.pool.allocate(a, 1, 1) == 0);
    REQUIRE(rig.pool.lend(a, 0, 2));
    const std::uint32_t generation = rig.pool.generation(a, 0);
    const std::uint32_t handle = rig.codec().encode(0, generation);
    CHECK(rig.resolve(handle) == Refusal::none);
    REQUIRE(rig.pool.give_back(a, 0));
    CHECK(rig.shows(0, SlotState::live, nobody, generation + (lease ? 1 : 0)));
    CHECK(rig.resolve(handle) == (lease ? Refusal::stale : Refusal::none));
    REQUIRE(rig.pool.lend(a, 0, 2));
    CHECK(rig.resolve(handle) == (lease ? Refusal::stale : Refusal::none));
  }
}

TEST_CASE("after free and allocate a handle is stale in both kinds of set") {
  for (bool lease : {true, false}) {
    Rig rig(lease);
    rig.add(1, 1024);
    REQUIRE(rig.pool.allocate(a, 1, 1) == 0);
    REQUIRE(rig.pool.lend(a, 0, 2));
    const std::uint32_t handle = rig.codec().encode(0, rig.pool.generation(a, 0));
    REQUIRE(rig.pool.give_back(a, 0));
    CHECK(rig.pool.release(a, 0));
    CHECK(rig.resolve(handle) != Refusal::none);
    REQUIRE(rig.pool.allocate(a, 1, 1) == 0);
    CHECK(rig.resolve(handle) == Refusal::stale);
    REQUIRE(rig.pool.lend(a, 0, 2));
    CHECK(rig.resolve(handle) == Refusal::stale);
  }
}

TEST_CASE("of threads that send one buffer at the same time one gets it") {
  constexpr std::uint32_t rounds = 20'000;
  Rig rig(false);
  rig.add(1, 1024);
  REQUIRE(rig.pool.allocate(a, 1, 1) == 0);
  std::uint32_t holders = 0, rounds_had = 0;  // Only who has the buffer touches them.
  bool shared = false;
  const auto sender = [&] {
    for (bool over = false; !over;) {
      if (!rig.pool.lend(a, 0, 2)) {
        sched_yield();
        continue;
      }
      shared = shared || ++holders != 1 || rig.word(0).state != SlotState::lent;
      over = ++rounds_had > rounds;
      --holders;
      shared = !rig.pool.give_back(a, 0) || shared;
    }
  };
  std::thread others[] = {std::thread(sender), std::thread(sender)};
  for (std::thread& other : others)
    other.join();
  CHECK_FALSE(shared);
  CHECK(rounds_had >= rounds);
  CHECK(rig.shows(0, SlotState::live, nobody, rig.pool.generation(a, 0)));
}

TEST_CASE("freeing twice, or what was never allocated, is refused") {
  Rig rig;
  rig.add(2, 1024);
  CHECK_FALSE(rig.pool.release(a, 0));
  REQUIRE(rig.pool.allocate(a, 1, 1) == 0);
  CHECK(rig.pool.release(a, 0));
  CHECK_FALSE(rig.pool.release(a, 0));
  CHECK_FALSE(rig.pool.release(a, 4095));
  CHECK(rig.pool.available(1, 1) == 2);
}

/// A buffer that participant 9 had fetched when it left.
static void quarantine(Rig& rig) {
  rig.add(1, 1024);
  REQUIRE(rig.pool.allocate(a, 1, 1) == 0);
  REQUIRE(rig.pool.lend(a, 0, 9));
  rig.pool.quarantine(a, 0, 9);
}

TEST_CASE("a quarantined buffer is not lent, resolved or allocated while its holder lives") {
  Rig rig;
  quarantine(rig);
  const std::uint32_t generation = rig.pool.generation(a, 0);
  CHECK(rig.shows(0, SlotState::quarantined, 9, generation));
  CHECK(rig.resolve(rig.codec().encode(0, generation)) != Refusal::none);
  CHECK_FALSE(rig.pool.release(a, 0));  // In a command under way.
  CHECK_FALSE(rig.pool.give_back(a, 0));
  rig.pool.owe_back(0);
  CHECK(rig.shows(0, SlotState::quarantined, 9, generation));
  CHECK_FALSE(rig.pool.lend(a, 0, 2));
  CHECK(rig.pool.release(a, 0));  // FreeBuffer is the owner's right; the buffer stays out of use.
  CHECK_FALSE(rig.pool.release(a, 0));
  CHECK(rig.shows(0, SlotState::quarantined, 9, generation));
  CHECK(rig.pool.allocate(a, 1, 1) == no_slot);
  rig.pool.forget_holder(a, 8);  // Another.
  CHECK_FALSE(rig.pool.wants_pages(a, 0, SlotState::free));
}

TEST_CASE("a quarantined buffer that was freed is free again, once its holder is dead") {
  Rig rig;
  quarantine(rig);
  const std::uint32_t generation = rig.pool.generation(a, 0);
  rig.pool.owe_back(0);
  CHECK(rig.pool.release(a, 0));
  rig.pool.forget_holder(a, 9);
  CHECK(rig.shows(0, SlotState::quarantined, nobody, generation));
  REQUIRE(rig.pool.wants_pages(a, 0, SlotState::free));
  rig.pool.readmit(a, 0);
  CHECK(rig.shows(0, SlotState::free, nobody, generation));
  CHECK_FALSE(rig.pool.wants_pages(a, 0, SlotState::free));
  CHECK(rig.pool.available(1, 1) == 1);
  CHECK(rig.pool.allocate(a, 1, 1) == 0);
  CHECK(rig.pool.allocate(a, 1, 1) == no_slot);  // Once, not twice.
}

TEST_CASE("a quarantined buffer that its owner keeps is its owner's again, under a new handle") {
  for (bool lease : {true, false}) {
    Rig rig(lease);
    quarantine(rig);
    const std::uint32_t generation = rig.pool.generation(a, 0);
    rig.pool.forget_holder(a, 9);
    // The command is not called back yet.
    CHECK_FALSE(rig.pool.wants_pages(a, 0, SlotState::live));
    rig.pool.owe_back(0);
    CHECK_FALSE(rig.pool.wants_pages(a, 0, SlotState::free));
    REQUIRE(rig.pool.wants_pages(a, 0, SlotState::live));
    rig.pool.readmit(a, 0);
    CHECK(rig.shows(0, SlotState::live, nobody, generation + (lease ? 1 : 0)));
    CHECK(rig.pool.lend(a, 0, 2));
  }
}

TEST_CASE("a generation wraps at 20 bits without touching the state") {
  Rig rig(false);
  rig.add(1, 1024);
  std::uint32_t generation = rig.pool.generation(a, 0);
  bool right = true;
  for (std::uint32_t i = 0; i < (1u << 20) + 5; ++i) {
    right = right && rig.pool.allocate(a, 1, 1) == 0;
    generation = (generation + 1) & 0xfffff;
    right = right && rig.shows(0, SlotState::live, nobody, generation);
    right = right && rig.pool.release(a, 0);
  }
  CHECK(right);
}

TEST_CASE("eight pools and all 4096 slots: each buffer is given out once") {
  Rig rig;
  for (std::uint32_t i = 0; i < 8; ++i)
    rig.add(512, 1024 << i);
  std::vector<bool> given(4096);
  for (std::uint32_t i = 0; i < 4096; ++i) {
    const std::uint32_t slot = rig.pool.allocate(a, 1, 1);
    REQUIRE(slot < 4096);
    CHECK_FALSE(given[slot]);
    given[slot] = true;
    CHECK(slot / 512 == i / 512);
  }
  CHECK(rig.pool.allocate(a, 1, 1) == no_slot);
  for (std::uint32_t slot : {4095u, 0u, 511u, 512u})
    CHECK(rig.pool.release(a, slot));
  CHECK(rig.pool.allocate(a, 1024 << 7, 1) == 4095);
  CHECK(rig.pool.allocate(a, 1024 << 1, 1) == 512);
}

TEST_CASE("at random against a model of queues") {
  for (bool lease : {true, false}) {
    unit::Random random(unit::seed() + lease);
    CAPTURE(unit::seed());
    Rig rig(lease);
    rig.add(5, 1024);
    rig.add(7, 4096);
    std::deque<std::uint32_t> free_slots[2] = {{0, 1, 2, 3, 4}, {5, 6, 7, 8, 9, 10, 11}};
    std::vector<std::uint32_t> owned, lent;
    const auto take = [&random](std::vector<std::uint32_t>& from) {
      std::swap(from[random() % from.size()], from.back());
      const std::uint32_t slot = from.back();
      from.pop_back();
      return slot;
    };
    for (int step = 0; step < 20000; ++step) {
      const std::uint32_t what = random() % 4;
      if (what == 0) {
        const bool large = random() % 2 != 0;
        auto& queue = !large && !free_slots[0].empty() ? free_slots[0] : free_slots[1];
        const std::uint32_t due = queue.empty() ? no_slot : queue.front();
        REQUIRE(rig.pool.allocate(a, large ? 4000 : 1000, 1) == due);
        if (due == no_slot) continue;
        queue.pop_front();
        owned.push_back(due);
      } else if (what == 1 && !owned.empty()) {
        const std::uint32_t slot = take(owned);
        REQUIRE(rig.pool.release(a, slot));
        free_slots[slot < 5 ? 0 : 1].push_back(slot);
      } else if (what == 2 && !owned.empty()) {
        lent.push_back(take(owned));
        REQUIRE(rig.pool.lend(a, lent.back(), 3));
      } else if (what == 3 && !lent.empty()) {
        owned.push_back(take(lent));
        REQUIRE(rig.pool.give_back(a, owned.back()));
      }
    }
  }
}
