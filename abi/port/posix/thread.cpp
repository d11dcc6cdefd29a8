// abi/port/posix/thread.cpp: threads of this process, and the poll set of the library thread.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <csignal>
#include <limits>
#include <new>
#include "abi/port/port.hpp"
#include "abi/port/posix/sys.hpp"

namespace vdset::port {
namespace {

static_assert(sizeof(pthread_t) <= sizeof(Thread::state));

pthread_t& native(Thread& thread) {
  return *reinterpret_cast<pthread_t*>(thread.state);
}

}  // namespace

/// Milliseconds until a deadline, rounded up, as poll and epoll want it.
int poll_milliseconds(std::int64_t deadline_ns) {
  if (deadline_ns == never) return -1;
  const std::int64_t left = (deadline_ns - now_ns() + 999'999) / 1'000'000;
  if (left <= 0) return 0;
  return left < std::numeric_limits<int>::max() ? static_cast<int>(left)
                                                : std::numeric_limits<int>::max();
}

int thread_start(Thread& thread, void* (*run)(void*), void* context) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t* const id = new (thread.state) pthread_t;
  const int fault = next_fault(Call::thread_create);
  const int error = fault != 0 ? fault : pthread_create(id, nullptr, run, context);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return -error;
}

void thread_join(Thread& thread) {
  pthread_join(native(thread), nullptr);
}
std::uint32_t thread_id() {
  return static_cast<std::uint32_t>(syscall(SYS_gettid));
}

int on_fork(void (*before)(), void (*in_parent)(), void (*in_child)()) {
  return -pthread_atfork(before, in_parent, in_child);
}

int poller_create() {
  const int poller =
      result_of(sys(Call::epoll_create, [] { return epoll_create1(EPOLL_CLOEXEC); }));
  if (poller >= 0) fcntl(poller, F_SETFL, O_NONBLOCK);
  return poller;
}

int poller_add(int poller, int descriptor, std::uint64_t key, bool hangup_only) {
  epoll_event event{};
  event.events = hangup_only ? EPOLLRDHUP : EPOLLIN | EPOLLRDHUP;
  event.data.u64 = key;
  return result_of(
      sys(Call::epoll_ctl, [&] { return epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event); }));
}

void poller_remove(int poller, int descriptor) {
  epoll_ctl(poller, EPOLL_CTL_DEL, descriptor, nullptr);
}

int poller_wait(int poller, std::int64_t deadline_ns, std::uint64_t& key) {
  epoll_event event{};
  const int got = sys(Call::epoll_wait, [&] {
    return epoll_wait(poller, &event, 1, poll_milliseconds(deadline_ns));
  });
  if (got < 0 && (errno == EBADF || errno == EINVAL)) return -errno;
  // Time, or a signal that slipped in: the caller looks at its deadlines again.
  if (got <= 0) return 0;
  key = event.data.u64;
  return 1;
}

std::size_t poller_look(int poller, gsl::span<std::uint64_t> keys) {
  constexpr std::size_t looked_at_max = 64;
  epoll_event events[looked_at_max];
  const std::size_t most = keys.size() < looked_at_max ? keys.size() : looked_at_max;
  const int got =
      sys(Call::epoll_wait, [&] { return epoll_wait(poller, events, static_cast<int>(most), 0); });
  for (int i = 0; i < got; ++i)
    keys[static_cast<std::size_t>(i)] = events[i].data.u64;
  return got > 0 ? static_cast<std::size_t>(got) : 0;
}

int signal_create() {
  return result_of(sys(Call::eventfd, [] { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }));
}
void signal_raise(int descriptor) {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t done = write(descriptor, &one, sizeof one);
}
void signal_clear(int descriptor) {
  std::uint64_t count;
  [[maybe_unused]] const ssize_t done = read(descriptor, &count, sizeof count);
}

int wait_readable(int descriptor, std::int64_t deadline_ns) {
  pollfd p{descriptor, POLLIN, 0};
  for (;;) {
    const int got = poll(&p, 1, poll_milliseconds(deadline_ns));
    if (got >= 0) return got > 0 ? 1 : 0;
    if (errno != EINTR) return -errno;
  }
}

}  // namespace vdset::port
