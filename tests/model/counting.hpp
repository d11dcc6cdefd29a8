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

  /// Only accesses at this site count.
  void count_only(Site site) { only_ = site; }
  /// Another end than SIGKILL; after SIGSTOP the access is made when the process goes on.
  void kill_with(int signal) { signal_ = signal; }
  /// Called just before the end, with the site that is not reached.
  void before_kill(void (*last_words)(Site)) { last_words_ = last_words; }

  /// Counts something that is no access of a word, such as a system call that others notice.
  void step(Site site = Site::count) {
    if (only_ != Site::count && site != only_) return;
    if (++count_ != kill_at_) return;
    if (last_words_ != nullptr) last_words_(site);
    ::kill(::getpid(), signal_);
    if (signal_ == SIGKILL) std::abort();  // Never: SIGKILL to oneself does not return.
  }

  template <Site site>
  std::uint32_t load(const Word& word) {
    step(site);
    return core::RealAtomics::load<site>(word);
  }
  template <Site site>
  void store(Word& word, std::uint32_t value) {
    step(site);
    core::RealAtomics::store<site>(word, value);
  }
  template <Site site>
  bool compare_exchange(Word& word, std::uint32_t& expected, std::uint32_t desired) {
    step(site);
    return core::RealAtomics::compare_exchange<site>(word, expected, desired);
  }
  template <Site site>
  std::uint32_t fetch_add(Word& word, std::uint32_t value) {
    step(site);
    return core::RealAtomics::fetch_add<site>(word, value);
  }
  template <Site site>
  std::uint32_t fetch_or(Word& word, std::uint32_t value) {
    step(site);
    return core::RealAtomics::fetch_or<site>(word, value);
  }
  template <Site site>
  std::uint32_t fetch_and(Word& word, std::uint32_t value) {
    step(site);
    return core::RealAtomics::fetch_and<site>(word, value);
  }
  template <Site site>
  void fence() {
    step(site);
    core::RealAtomics::fence<site>();
  }

 private:
  std::atomic<std::uint64_t> count_{0};
  std::atomic<std::uint64_t> kill_at_{0};
  void (*last_words_)(Site) = nullptr;
  int signal_ = SIGKILL;
  Site only_ = Site::count;
};

}  // namespace vdset::model
