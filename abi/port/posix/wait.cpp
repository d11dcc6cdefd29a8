// abi/port/posix/wait.cpp: sleeping on words and waking their sleepers: futex, futex_waitv where
// the kernel has it.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <climits>
#include <ctime>
#include "abi/port/port.hpp"
#include "abi/port/posix/sys.hpp"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

// 32-bit systems pass 64-bit times to calls of their own.
#if defined(SYS_futex_time64) && !defined(__LP64__)
#define VDSET_SYS_FUTEX SYS_futex_time64
#else
#define VDSET_SYS_FUTEX SYS_futex
#endif

namespace vdset::port {
namespace {

struct KernelTime {
  std::int64_t seconds;
  std::int64_t nanoseconds;
};
struct KernelWaiter {  // struct futex_waitv of Linux 5.16.
  std::uint64_t value;
  std::uint64_t address;
  std::uint32_t flags;
  std::uint32_t reserved;
};
constexpr std::uint32_t waiter_u32 = 2;  // FUTEX_32, shared.

KernelTime kernel_time(std::int64_t deadline_ns) {
  return {deadline_ns / 1'000'000'000, deadline_ns % 1'000'000'000};
}

bool probe_wait_many() {
  // No waiters: EINVAL from a kernel that has the call, ENOSYS from one that does not.
  return sys(Call::futex_waitv,
             [] { return syscall(SYS_futex_waitv, nullptr, 0, 0, nullptr, CLOCK_MONOTONIC); }) <
             0 &&
         errno == EINVAL;
}

}  // namespace

bool has_wait_many() {
  static const bool has = probe_wait_many();
  return has;
}

Woken wait_word(const core::Word& word, std::uint32_t value, const core::Word* alive,
                std::uint32_t alive_value, std::int64_t deadline_ns) {
  const KernelTime at = kernel_time(deadline_ns);
  const KernelTime* const limit = deadline_ns == never ? nullptr : &at;
  long woken;
  if (alive != nullptr && has_wait_many()) {
    const KernelWaiter waiters[2] = {
        {value, reinterpret_cast<std::uintptr_t>(&word.value), waiter_u32, 0},
        {alive_value, reinterpret_cast<std::uintptr_t>(&alive->value), waiter_u32, 0}};
    woken = sys(Call::futex_wait,
                [&] { return syscall(SYS_futex_waitv, waiters, 2, 0, limit, CLOCK_MONOTONIC); });
  } else {
    woken = sys(Call::futex_wait, [&] {
      return syscall(VDSET_SYS_FUTEX, &word.value, FUTEX_WAIT_BITSET, value, limit, nullptr,
                     FUTEX_BITSET_MATCH_ANY);
    });
  }
  return woken < 0 && errno == ETIMEDOUT ? Woken::timed_out : Woken::maybe;
}

Woken wait_words(gsl::span<const WordValue> words, std::int64_t deadline_ns) {
  Expects(!words.empty() && words.size() <= wait_words_max);
  if (!has_wait_many()) return wait_word(*words[0].word, words[0].value, nullptr, 0, deadline_ns);
  KernelWaiter waiters[wait_words_max];
  for (std::size_t i = 0; i < words.size(); ++i)
    waiters[i] = {words[i].value, reinterpret_cast<std::uintptr_t>(&words[i].word->value),
                  waiter_u32, 0};
  const KernelTime at = kernel_time(deadline_ns);
  const KernelTime* const limit = deadline_ns == never ? nullptr : &at;
  const long woken = sys(Call::futex_wait, [&] {
    return syscall(SYS_futex_waitv, waiters, words.size(), 0, limit, CLOCK_MONOTONIC);
  });
  return woken < 0 && errno == ETIMEDOUT ? Woken::timed_out : Woken::maybe;
}

void wake_word(const core::Word& word) {
  sys(Call::futex_wake, [&] {
    return syscall(VDSET_SYS_FUTEX, &word.value, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  });
}

void mutex_wait(Mutex& mutex) {
  constexpr int spins = 32;  // What is under a lock takes less, unless its holder does not run.
  for (int i = 0; i < spins && processor_count() > 1; ++i) {
    cpu_relax();
    if (__atomic_load_n(&mutex.word, __ATOMIC_RELAXED) == 0 && mutex_try_lock(mutex)) return;
  }
  // Taken from here on with 2: perhaps nobody else sleeps, then one wake is for nothing.
  while (__atomic_exchange_n(&mutex.word, 2, __ATOMIC_ACQUIRE) != 0)
    syscall(VDSET_SYS_FUTEX, &mutex.word, FUTEX_WAIT_PRIVATE, 2, nullptr, nullptr, 0);
}

void mutex_wake(Mutex& mutex) {
  syscall(VDSET_SYS_FUTEX, &mutex.word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

}  // namespace vdset::port
