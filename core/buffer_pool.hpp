// core/buffer_pool.hpp: the server's private buffer allocator, published as slot words. Layer core:
// freestanding.
// One writer process, so no recovery problem: the truth is the private shadow, S only shows it.
// Under the pool's process-local lock, but for lend, give_back and take_back: a LIVE buffer goes to
// whose exchange takes it, a LENT one is its command's. Edges slot_published, slot_owned.
#pragma once
#include <gsl/assert>
#include <gsl/span>
#include "core/handle.hpp"
#include "core/layout.hpp"
#include "core/pool_map.hpp"
#include "core/words.hpp"

namespace vdset::core {

template <class A>
class BufferPool {
 public:
  BufferPool() = default;
  BufferPool(gsl::span<Word> words, bool lease) : words_(words), lease_(lease) {
    Expects(words.size() == slots_max);
  }

  /// Adds the slots of a new pool, all free. `seed` scatters the first generations.
  void add_pool(A& a, const PoolPlan& plan, std::uint32_t seed) {
    Expects(pool_count_ < pools_max && plan.first_slot + plan.slot_count <= slots_max);
    FreeList& list = lists_[pool_count_++];
    list = {plan.first_slot, 0, 0, 0, plan.data_bytes, plan.alignment};
    for (std::uint32_t i = 0; i < plan.slot_count; ++i) {
      // Numerical Recipes' generator: scatters, hides nothing.
      seed = seed * 1664525u + 1013904223u;
      publish(a, plan.first_slot + i, {SlotState::free, nobody, seed >> 12});
      push(list, plan.first_slot + i);
    }
  }

  /// AllocateBuffer: the oldest free slot of the smallest class that fits, or no_slot. FIFO makes
  /// reuse of a handle as late as can be.
  [[nodiscard]] std::uint32_t allocate(A& a, std::uint32_t size_bytes, std::uint32_t alignment) {
    FreeList* best = nullptr;
    for (std::uint32_t i = 0; i < pool_count_; ++i) {
      FreeList& list = lists_[i];
      if (list.count == 0 || list.data_bytes < size_bytes || list.alignment < alignment) continue;
      if (best == nullptr || list.data_bytes < best->data_bytes) best = &list;
    }
    if (best == nullptr) return no_slot;
    const std::uint32_t slot = pop(*best);
    publish(a, slot, {SlotState::live, nobody, shadow(a, slot).generation + 1});
    return slot;
  }

  /// Whether any class could ever serve the request.
  [[nodiscard]] bool fits(std::uint32_t size_bytes, std::uint32_t alignment) const {
    for (std::uint32_t i = 0; i < pool_count_; ++i)
      if (lists_[i].data_bytes >= size_bytes && lists_[i].alignment >= alignment) return true;
    return false;
  }
  [[nodiscard]] std::uint32_t available(std::uint32_t size_bytes, std::uint32_t alignment) const {
    std::uint32_t count = 0;
    for (std::uint32_t i = 0; i < pool_count_; ++i)
      if (lists_[i].data_bytes >= size_bytes && lists_[i].alignment >= alignment)
        count += lists_[i].count;
    return count;
  }

  /// FreeBuffer. False: the slot is not allocated, or lent to a command.
  [[nodiscard]] bool release(A& a, std::uint32_t slot) {
    const SlotWord word = shadow(a, slot);
    if (word.state == SlotState::quarantined && owed_[slot] == SlotState::live) {
      owed_[slot] = SlotState::free;
      return true;
    }
    if (!take_live(a, slot, {SlotState::free, nobody, word.generation})) return false;
    push(lists_[pool_of(slot)], slot);
    return true;
  }

  /// SendCommand with this buffer, for the consumer `participant` (nobody: not open yet). False:
  /// not allocated, or lent already. Any thread.
  [[nodiscard]] bool lend(A& a, std::uint32_t slot, std::uint32_t participant) {
    return take_live(a, slot, {SlotState::lent, participant, shadow(a, slot).generation});
  }

  /// The command is final: back to its owner. In lease sets the generation moves on, so that its
  /// handles are refused before the callback runs. Under the lock of the command's device. False:
  /// it is quarantined; owe_back then does it.
  [[nodiscard]] bool give_back(A& a, std::uint32_t slot) {
    const SlotWord word = shadow(a, slot);
    if (word.state == SlotState::quarantined) return false;
    Expects(word.state == SlotState::lent);
    publish(a, slot, {SlotState::live, nobody, word.generation + (lease_ ? 1u : 0u)});
    return true;
  }
  void owe_back(std::uint32_t slot) { owed_[slot] = SlotState::live; }

  /// SendCommand failed after lend: nobody saw the handle. As give_back.
  void take_back(A& a, std::uint32_t slot) {
    const SlotWord word = shadow(a, slot);
    Expects(word.state == SlotState::lent);
    publish(a, slot, {SlotState::live, nobody, word.generation});
  }

  /// Takes a lent buffer out of use: `holder`, a process that left but lives, may still touch it;
  /// nobody: it is dead, but its pages could not be replaced. Its owner goes on owning it. Under
  /// the lock of the command's device, too.
  void quarantine(A& a, std::uint32_t slot, std::uint32_t holder) {
    const SlotWord word = shadow(a, slot);
    if (word.state == SlotState::quarantined) return;
    Expects(word.state == SlotState::lent);
    owed_[slot] = SlotState::lent;
    publish(a, slot, {SlotState::quarantined, holder, word.generation});
  }
  /// That process is dead: with new pages its buffers can be used again.
  void forget_holder(A& a, std::uint32_t holder) {
    for (std::uint32_t slot = 0; slot < slots_max; ++slot) {
      const SlotWord word = shadow(a, slot);
      if (word.state == SlotState::quarantined && word.participant == holder)
        publish(a, slot, {SlotState::quarantined, nobody, word.generation});
    }
  }
  /// Quarantined, and the one reason is its pages: it is to its owner `owed`, FREE or LIVE.
  [[nodiscard]] bool wants_pages(A& a, std::uint32_t slot, SlotState owed) const {
    const SlotWord word = shadow(a, slot);
    return word.state == SlotState::quarantined && word.participant == nobody &&
           owed_[slot] == owed;
  }
  /// It has new pages: back into use, as what it is to its owner.
  void readmit(A& a, std::uint32_t slot) {
    const std::uint32_t generation = shadow(a, slot).generation;
    if (wants_pages(a, slot, SlotState::live))
      return publish(a, slot, {SlotState::live, nobody, generation + (lease_ ? 1u : 0u)});
    Expects(wants_pages(a, slot, SlotState::free));
    publish(a, slot, {SlotState::free, nobody, generation});
    push(lists_[pool_of(slot)], slot);
  }

  [[nodiscard]] SlotState state(A& a, std::uint32_t slot) const { return shadow(a, slot).state; }
  [[nodiscard]] std::uint32_t generation(A& a, std::uint32_t slot) const {
    return shadow(a, slot).generation;
  }

 private:
  struct FreeList {
    std::uint32_t first_slot;
    std::uint32_t head;
    std::uint32_t tail;
    std::uint32_t count;
    std::uint32_t data_bytes;
    std::uint32_t alignment;
  };

  SlotWord shadow(A& a, std::uint32_t slot) const {
    Expects(slot < slots_max);
    return SlotWord::unpack(a.template load<Site::slot_shadow>(shadow_[slot]));
  }
  std::uint32_t pool_of(std::uint32_t slot) const {
    std::uint32_t pool = 0;
    while (pool + 1 < pool_count_ && slot >= lists_[pool + 1].first_slot)
      ++pool;
    return pool;
  }
  void show(A& a, std::uint32_t slot, const SlotWord& word) {
    // Edge slot_published: what the server wrote into the buffer is visible to whoever resolves the
    // handle.
    a.template store<Site::slot_publish>(words_[slot], word.pack());
  }
  /// Of a slot that is the caller's alone.
  void publish(A& a, std::uint32_t slot, const SlotWord& word) {
    show(a, slot, word);
    // Edge slot_owned: whoever takes the buffer next has all that was done with it behind him, what
    // S shows of it, too.
    a.template store<Site::slot_release>(shadow_[slot], word.pack());
  }
  /// LIVE becomes `next`, of the same generation. False: it is not LIVE, or another was first.
  bool take_live(A& a, std::uint32_t slot, const SlotWord& next) {
    std::uint32_t found = SlotWord{SlotState::live, nobody, next.generation}.pack();
    if (!a.template compare_exchange<Site::slot_take>(shadow_[slot], found, next.pack()))
      return false;
    show(a, slot, next);
    return true;
  }
  void push(FreeList& list, std::uint32_t slot) {
    if (list.count++ == 0)
      list.head = slot;
    else
      next_[list.tail] = static_cast<std::uint16_t>(slot);
    list.tail = slot;
  }
  std::uint32_t pop(FreeList& list) {
    Expects(list.count > 0);
    const std::uint32_t slot = list.head;
    list.head = next_[slot];
    --list.count;
    return slot;
  }

  gsl::span<Word> words_;
  bool lease_ = true;
  std::uint32_t pool_count_ = 0;
  FreeList lists_[pools_max] = {};
  Word shadow_[slots_max] = {};
  std::uint16_t next_[slots_max] = {};
  SlotState owed_[slots_max] = {};  // What a quarantined slot is to its owner.
};

}  // namespace vdset::core
