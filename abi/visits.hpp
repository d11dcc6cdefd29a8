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
  void enter() { __atomic_fetch_add(&count_.value, 1, __ATOMIC_SEQ_CST); }
  /// Makes a system call only when Close waits for the last one to leave.
  void leave() {
    if (__atomic_sub_fetch(&count_.value, 1, __ATOMIC_ACQ_REL) == awaited) port::wake_word(count_);
  }
  std::uint32_t count() const {
    return __atomic_load_n(&count_.value, __ATOMIC_SEQ_CST) & ~awaited;
  }

  /// Until nobody is inside; `wake` tells those who sleep, again and again.
  template <class Wake>
  void drain(Wake wake) {
    constexpr std::int64_t again_ns = 100'000'000;
    while (count() != 0) {
      wake();
      const std::uint32_t seen = __atomic_or_fetch(&count_.value, awaited, __ATOMIC_SEQ_CST);
      if (seen == awaited) break;
      port::wait_word(count_, seen, nullptr, 0, port::deadline_after(again_ns));
    }
    __atomic_fetch_and(&count_.value, ~awaited, __ATOMIC_ACQ_REL);
  }

 private:
  static constexpr std::uint32_t awaited = 0x80000000u;
  core::Word count_{0};
};

class Visit {
 public:
  explicit Visit(Visits* visits) : visits_(visits) {
    if (visits_ != nullptr) visits_->enter();
  }
  ~Visit() {
    if (visits_ != nullptr) visits_->leave();
  }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

 private:
  Visits* visits_;
};

/// For what one thread at a time may do.
class Turn {
 public:
  explicit Turn(std::atomic<bool>& taken) : taken_(taken), mine_(!taken.exchange(true)) {}
  ~Turn() {
    if (mine_) taken_.store(false, std::memory_order_release);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  bool mine() const { return mine_; }

 private:
  std::atomic<bool>& taken_;
  bool mine_;
};

}  // namespace vdset
