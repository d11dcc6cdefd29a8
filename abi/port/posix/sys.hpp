// abi/port/posix/sys.hpp: the one door to system calls. In the fault-injecting twin (VDSET_FAULTS)
// a test decides which call fails when.
#pragma once
#include <poll.h>
#include <cerrno>
#include <type_traits>

namespace vdset::port {

enum class Call : unsigned char {
  memfd_create,
  ftruncate,
  fallocate,
  mmap,
  seal,
  get_seals,
  futex_wait,
  futex_waitv,
  futex_wake,
  open,
  mkdir,
  lock,
  socket,
  bind,
  chmod,
  listen,
  connect,
  accept,
  socketpair,
  sendmsg,
  recvmsg,
  peercred,
  peerpidfd,
  passrights,
  pidfd_open,
  epoll_create,
  epoll_ctl,
  epoll_wait,
  eventfd,
  thread_create,
  robust_list,
  getrandom,
  future_write_seal,
  noexec_seal,
  pwrite,
  proc,
  count
};

#ifdef VDSET_FAULTS
/// errno to fail with, or 0: defined by tests/support/faults.cpp.
int next_fault(Call call);
#else
constexpr int next_fault(Call) {
  return 0;
}
#endif

/// Runs `f` (a system call in the -1/errno convention) unless a fault is due.
template <class F>
auto sys(Call call, F f) -> decltype(f()) {
  const int fault = next_fault(call);
  if (fault == 0) return f();
  errno = fault;
  if constexpr (std::is_pointer_v<decltype(f())>)
    return reinterpret_cast<decltype(f())>(-1);
  else
    return -1;
}

/// The -errno convention of port.hpp.
template <class T>
int result_of(T value) {
  return value < 0 ? -errno : static_cast<int>(value);
}

/// Sleeps a moment of a bounded retry, where nobody can wake us: for another process' lock or full
/// backlog, for the kernel.
inline void pause_briefly() {
  poll(nullptr, 0, 5);
}

}  // namespace vdset::port
