// tests/model/counting.hpp: an atomics policy that counts accesses of shared memory and, at a
// chosen one, kills its own process just before it. Production code is compiled over it unchanged.
#pragma once
#include <signal.h>
#include <unistd.h>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include "core/atomics.hpp"

namespace vdset::model {

using core::Site;
using core::Word;

/// core::RealAtomics that counts. One object for a process, or one for a thread.
class CountingAtomics {
 public:
  /// Access number `k` (from 1) is not made: the process is killed instead. 0: never.
  void kill_at(std::uint64_t k) { kill_at_ = k; }
  std::uint64_t count() const { return count_; }

  /// Counts something that is no access of a word, such as a system call that others notice.
  void step() {
    if (++count_ != kill_at_) return;
    ::kill(::getpid(), SIGKILL);
    std::abort();  // Never: SIGKILL to oneself does not return.
  }

  template <Site site>
  std::uint32_t load(const Word& word) {
    step();
    return core::RealAtomics::load<site>(word);
  }
  template <Site site>
  void store(Word& word, std::uint32_t value) {
    step();
    core::RealAtomics::store<site>(word, value);
  }
  template <Site site>
  bool compare_exchange(Word& word, std::uint32_t& expected, std::uint32_t desired) {
    step();
    return core::RealAtomics::compare_exchange<site>(word, expected, desired);
  }
  template <Site site>
  std::uint32_t fetch_add(Word& word, std::uint32_t value) {
    step();
    return core::RealAtomics::fetch_add<site>(word, value);
  }
  template <Site site>
  std::uint32_t fetch_or(Word& word, std::uint32_t value) {
    step();
    return core::RealAtomics::fetch_or<site>(word, value);
  }
  template <Site site>
  std::uint32_t fetch_and(Word& word, std::uint32_t value) {
    step();
    return core::RealAtomics::fetch_and<site>(word, value);
  }
  template <Site site>
  void fence() {
    step();
    core::RealAtomics::fence<site>();
  }

 private:
  std::atomic<std::uint64_t> count_{0};
  std::atomic<std::uint64_t> kill_at_{0};
};

}  // namespace vdset::model
