// core/buffer_pool.hpp: the server's private buffer allocator, published as slot words. Layer core:
// freestanding.
// One writer process, so no recovery problem: the truth is the private shadow, S only shows it.
// Under the pool's process-local lock.
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
    publish(a, slot, {SlotState::live, nobody, shadow(slot).generation + 1});
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
    const SlotWord word = shadow(slot);
    if (word.state == SlotState::quarantined && owed_[slot] == SlotState::live) {
      owed_[slot] = SlotState::free;
      return true;
    }
    if (word.state != SlotState::live) return false;
    publish(a, slot, {SlotState::free, nobody, word.generation});
    push(lists_[pool_of(slot)], slot);
    return true;
  }

  /// SendCommand with this buffer, for the consumer `participant` (nobody: not open yet). False:
  /// not allocated, or lent already.
  [[nodiscard]] bool lend(A& a, std::uint32_t slot, std::uint32_t participant) {
    const SlotWord word = shadow(slot);
    if (word.state != SlotState::live) return false;
    publish(a, slot, {SlotState::lent, participant, word.generation});
    return true;
  }

  /// The command is final: back to its owner. In lease sets the generation moves on, so that its
  /// handles are refused before the callback runs.
  void give_back(A& a, std::uint32_t slot) {
    const SlotWord word = shadow(slot);
    if (word.state == SlotState::quarantined) {
      owed_[slot] = SlotState::live;
      return;
    }
    Expects(word.state == SlotState::lent);
    publish(a, slot, {SlotState::live, nobody, word.generation + (lease_ ? 1u : 0u)});
  }

  /// SendCommand failed after lend: nobody saw the handle.
  void take_back(A& a, std::uint32_t slot) {
    const SlotWord word = shadow(slot);
    Expects(word.state == SlotState::lent);
    publish(a, slot, {SlotState::live, nobody, word.generation});
  }

  /// Takes a lent buffer out of use: `holder`, a process that left but lives, may still touch it;
  /// nobody: it is dead, but its pages could not be replaced. Its owner goes on owning it.
  void quarantine(A& a, std::uint32_t slot, std::uint32_t holder) {
    const SlotWord word = shadow(slot);
    if (word.state == SlotState::quarantined) return;
    Expects(word.state == SlotState::lent || word.state == SlotState::live);
    owed_[slot] = word.state;
    publish(a, slot, {SlotState::quarantined, holder, word.generation});
  }
  /// That process is dead: with new pages its buffers can be used again.
  void forget_holder(A& a, std::uint32_t holder) {
    for (std::uint32_t slot = 0; slot < slots_max; ++slot) {
      const SlotWord word = shadow(slot);
      if (word.state == SlotState::quarantined && word.participant == holder)
        publish(a, slot, {SlotState::quarantined, nobody, word.generation});
    }
  }
  /// Quarantined, and the one reason is its pages: it is to its owner `owed`, FREE or LIVE.
  [[nodiscard]] bool wants_pages(std::uint32_t slot, SlotState owed) const {
    const SlotWord word = shadow(slot);
    return word.state == SlotState::quarantined && word.participant == nobody &&
           owed_[slot] == owed;
  }
  /// It has new pages: back into use, as what it is to its owner.
  void readmit(A& a, std::uint32_t slot) {
    const std::uint32_t generation = shadow(slot).generation;
    if (wants_pages(slot, SlotState::live))
      return publish(a, slot, {SlotState::live, nobody, generation + (lease_ ? 1u : 0u)});
    Expects(wants_pages(slot, SlotState::free));
    publish(a, slot, {SlotState::free, nobody, generation});
    push(lists_[pool_of(slot)], slot);
  }

  [[nodiscard]] SlotState state(std::uint32_t slot) const { return shadow(slot).state; }
  [[nodiscard]] std::uint32_t generation(std::uint32_t slot) const {
    return shadow(slot).generation;
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

  SlotWord shadow(std::uint32_t slot) const {
    Expects(slot < slots_max);
    return SlotWord::unpack(shadow_[slot]);
  }
  std::uint32_t pool_of(std::uint32_t slot) const {
    std::uint32_t pool = 0;
    while (pool + 1 < pool_count_ && slot >= lists_[pool + 1].first_slot)
      ++pool;
    return pool;
  }
  void publish(A& a, std::uint32_t slot, const SlotWord& word) {
    shadow_[slot] = word.pack();
    // Edge slot_published: what the server wrote into the buffer is visible to whoever resolves the
    // handle.
    a.template store<Site::slot_publish>(words_[slot], shadow_[slot]);
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
  std::uint32_t shadow_[slots_max] = {};
  std::uint16_t next_[slots_max] = {};
  SlotState owed_[slots_max] = {};  // What a quarantined slot is to its owner.
};

}  // namespace vdset::core
