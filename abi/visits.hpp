// abi/visits.hpp: threads inside an object's calls, so that Close can wait until they have left.
//
// A call enters first and judges the object then; Close marks the object closed first and counts
// then. One of the two sees the other: either Close waits for the call, or the call is refused.
#pragma once
#include <atomic>
#include "abi/port/port.hpp"

namespace vdset {

class Visits {
 public:
  /// True: as the one such visit that ends without a locked instruction.
  bool enter() {
    if (!alone_.exchange(true)) return true;
    __atomic_fetch_add(&count_.value, 1, __ATOMIC_SEQ_CST);
    return false;
  }
  /// Makes a system call only when Close waits for the last one to leave.
  void leave(bool alone) {
    if (alone) return vacate(alone_);
    if (__atomic_sub_fetch(&count_.value, 1, __ATOMIC_ACQ_REL) == awaited) tell();
  }
  /// A visit of which there is one at a time. False: somebody else makes it.
  bool take_turn() { return !turn_.exchange(true); }
  void end_turn() { vacate(turn_); }
  bool is_visited() const {
    return (__atomic_load_n(&count_.value, __ATOMIC_SEQ_CST) & ~awaited) != 0 || alone_.load() ||
           turn_.load();
  }

  /// Until nobody is inside; `wake` tells those who sleep, again and again.
  template <class Wake>
  void drain(Wake wake) {
    constexpr std::int64_t again_ns = 100'000'000;
    while (is_visited()) {
      wake();
      const std::uint32_t seen = __atomic_load_n(&told_.value, __ATOMIC_ACQUIRE);
      __atomic_fetch_or(&count_.value, awaited, __ATOMIC_SEQ_CST);
      if (is_visited()) port::wait_word(told_, seen, nullptr, 0, port::deadline_after(again_ns));
    }
    __atomic_fetch_and(&count_.value, ~awaited, __ATOMIC_ACQ_REL);
  }

 private:
  static constexpr std::uint32_t awaited = 0x80000000u;

  /// No barrier for Close's sake: should it just have missed this, and this it, it looks again.
  void vacate(std::atomic<bool>& place) {
    place.store(false, std::memory_order_release);
    if ((__atomic_load_n(&count_.value, __ATOMIC_RELAXED) & awaited) != 0) tell();
  }
  void tell() {
    __atomic_fetch_add(&told_.value, 1, __ATOMIC_RELEASE);
    port::wake_word(told_);
  }

  core::Word count_{0};
  std::atomic<bool> alone_{false};
  std::atomic<bool> turn_{false};
  core::Word told_{0};
};

class Visit {
 public:
  explicit Visit(Visits* visits)
      : visits_(visits), alone_(visits != nullptr && visits->enter()) {}
  ~Visit() {
    if (visits_ != nullptr) visits_->leave(alone_);
  }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

 private:
  Visits* visits_;
  bool alone_;
};

/// A visit to what one thread at a time may do.
class Turn {
 public:
  explicit Turn(Visits* visits)
      : visits_(visits), mine_(visits != nullptr && visits->take_turn()) {}
  ~Turn() {
    if (mine_) visits_->end_turn();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  bool mine() const { return mine_; }

 private:
  Visits* visits_;
  bool mine_;
};

}  // namespace vdset
