// tests/support/faults.cpp: see faults.hpp.
#include "tests/support/faults.hpp"
#include <atomic>
#include <cstddef>

namespace vdset::faults {
namespace {

constexpr std::size_t call_count = static_cast<std::size_t>(port::Call::count);

/// In the order of port::Call.
constexpr const char* names[] = {"memfd_create",  "ftruncate",   "fallocate",  "mmap",
                                 "seal",          "get_seals",   "futex_wait", "futex_waitv",
                                 "futex_wake",    "open",        "mkdir",      "lock",
                                 "socket",        "bind",        "chmod",      "listen",
                                 "connect",       "accept",      "socketpair", "sendmsg",
                                 "recvmsg",       "peercred",    "peerpidfd",  "passrights",
                                 "pidfd_open",    "epoll_create", "epoll_ctl", "epoll_wait",
                                 "eventfd",       "thread_create", "robust_list", "getrandom",
                                 "future_write_seal", "noexec_seal", "pwrite", "proc"};
static_assert(sizeof names / sizeof *names == call_count, "one name for each port::Call");

struct Counters {
  std::atomic<std::uint32_t> uses{0};
  std::atomic<std::uint32_t> failures{0};
  // The plan: errno 0 is none.
  std::atomic<int> error{0};
  std::atomic<std::uint32_t> nth{0};
  std::atomic<bool> for_ever{false};
  std::atomic<void (*)(void*)> action{nullptr};
  void* context = nullptr;
};
Counters counters[call_count];

Counters& of(port::Call call) {
  return counters[static_cast<std::size_t>(call)];
}

}  // namespace

void arm(const Plan& plan) {
  Counters& at = of(plan.call);
  at.nth = plan.nth;
  at.for_ever = plan.for_ever;
  at.error = plan.error;
}

void act(port::Call call, void (*action)(void*), void* context) {
  of(call).context = context;
  of(call).action = action;
}

void disarm() {
  for (Counters& at : counters) {
    at.error = 0;
    at.action = nullptr;
  }
}

void reset() {
  for (Counters& at : counters) {
    at.uses = 0;
    at.failures = 0;
  }
}

std::uint32_t uses(port::Call call) {
  return of(call).uses;
}
std::uint32_t failures(port::Call call) {
  return of(call).failures;
}
bool anything_failed() {
  for (Counters& at : counters)
    if (at.failures > 0) return true;
  return false;
}
const char* name_of(port::Call call) {
  return names[static_cast<std::size_t>(call)];
}

}  // namespace vdset::faults

namespace vdset::port {

int next_fault(Call call) {
  auto& at = faults::of(call);
  const std::uint32_t use = ++at.uses;
  if (const auto action = at.action.load()) action(at.context);
  const int error = at.error;
  if (error == 0 || use < at.nth || (use > at.nth && !at.for_ever)) return 0;
  ++at.failures;
  return error;
}

}  // namespace vdset::port
