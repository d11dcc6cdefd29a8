// abi/library.cpp: see library.hpp.
#include "abi/library.hpp"
#include <atomic>
#include <cerrno>
#include <cstring>
#include "abi/hooks.hpp"
#include "abi/memory.hpp"
#include "abi/wait.hpp"

namespace vdset::library {
namespace {

struct Watch {
  Role* role;
  int descriptor;
  std::uint32_t tag;
  std::uint32_t generation;
};
constexpr std::uint32_t watches_max = 8192;
constexpr std::uint64_t signal_key = UINT64_MAX;

struct State {
  port::Mutex start_lock;  // Serialises start and end of the thread; outside `lock`.
  port::Mutex lock;
  Role* roles = nullptr;
  std::uint32_t thread_users = 0;
  bool fork_handlers = false;
  bool stopping = false;
  port::Thread thread;
  std::atomic<std::uint32_t> thread_id{0};
  core::Word started{0};
  core::Word ended{0};
  int start_error = 0;
  int poller = -1;
  int signal = -1;
  Watch* watches = nullptr;
  std::uint32_t watch_capacity = 0;
};
State state;

struct Kept {
  port::Mutex lock;
  int descriptor = -1;
  std::uint64_t identity = 0;
  std::uint32_t count = 0;

  bool is_there() const {
    return descriptor >= 0 && port::socket_identity(descriptor) == identity;
  }
};
Kept kept;

std::int64_t deadline_of(const Role& role) {
  return role.deadline_ns < role.parting_ns ? role.deadline_ns : role.parting_ns;
}

std::int64_t next_deadline() {
  std::int64_t deadline = port::never;
  for (Role* role = state.roles; role != nullptr; role = role->next)
    if (deadline_of(*role) < deadline) deadline = deadline_of(*role);
  return deadline;
}

void run_ticks() {
  const std::int64_t now = port::now_ns();
  for (Role* role = state.roles; role != nullptr; role = role->next)
    if (deadline_of(*role) <= now || role->attention.exchange(false)) role->tick(*role, now);
}

/// One event, under the lock: dropped when its watch ended meanwhile.
void dispatch(std::uint64_t key) {
  if (key == signal_key) return port::signal_clear(state.signal);
  const auto index = static_cast<std::uint32_t>(key);
  if (index >= state.watch_capacity) return;
  const Watch& at = state.watches[index];
  if (at.role != nullptr && at.generation == static_cast<std::uint32_t>(key >> 32))
    at.role->ready(*at.role, at.tag);
}

void announce_start(int error) {
  state.start_error = error;
  __atomic_store_n(&state.started.value, 1, __ATOMIC_RELEASE);
  port::wake_word(state.started);
}

void* run(void*) {
  const int error = port::alive_start();
  state.thread_id.store(port::thread_id(), std::memory_order_release);
  announce_start(error);
  if (error != 0) return nullptr;
  for (;;) {
    std::int64_t deadline;
    {
      const port::Locked guard(state.lock);
      if (state.stopping) break;
      run_ticks();
      deadline = next_deadline();
    }
    std::uint64_t key = 0;
    const int got = port::poller_wait(state.poller, slice_end(deadline), key);
    // This process has closed what it does not know: no descriptor tells of anything any more.
    if (got < 0) port::wait_word(state.ended, 0, nullptr, 0, slice_end(deadline));
    if (got <= 0) continue;
    const port::Locked guard(state.lock);
    if (!state.stopping) dispatch(key);
  }
  port::alive_stop();
  return nullptr;
}

void before_fork() {
  port::mutex_lock(state.start_lock);
  port::mutex_lock(state.lock);
  port::mutex_lock(kept.lock);
  lock_log();
}
void after_fork_in_parent() {
  unlock_log();
  port::mutex_unlock(kept.lock);
  port::mutex_unlock(state.lock);
  port::mutex_unlock(state.start_lock);
}
void after_fork_in_child() {
  unlock_log();
  for (Role* role = state.roles; role != nullptr; role = role->next)
    role->forked(*role);
  state.roles = nullptr;
  state.thread_users = 0;
  state.thread_id.store(0);
  port::alive_forget();
  port::close_descriptor(state.poller);
  port::close_descriptor(state.signal);
  if (state.watch_capacity > 0) std::memset(state.watches, 0, sizeof(Watch) * state.watch_capacity);
  if (kept.is_there()) port::close_descriptor(kept.descriptor);
  kept = {};
  state.lock = {};
  state.start_lock = {};
}

int start_thread() {
  state.stopping = false;
  state.started.value = state.ended.value = 0;
  int error = state.poller = port::poller_create();
  if (error >= 0) error = state.signal = port::signal_create();
  if (error >= 0) error = port::poller_add(state.poller, state.signal, signal_key, false);
  if (error >= 0) error = port::thread_start(state.thread, run, nullptr);
  if (error >= 0) {
    while (__atomic_load_n(&state.started.value, __ATOMIC_ACQUIRE) == 0)
      port::wait_word(state.started, 0, nullptr, 0, port::deadline_after(1'000'000'000));
    error = state.start_error;
    if (error != 0) port::thread_join(state.thread);
  }
  if (error < 0) {
    port::close_descriptor(state.poller);
    port::close_descriptor(state.signal);
    state.thread_id.store(0);
  }
  return error < 0 ? error : 0;
}

void stop_thread() {
  {
    const port::Locked guard(state.lock);
    state.stopping = true;
  }
  __atomic_store_n(&state.ended.value, 1, __ATOMIC_RELEASE);
  port::wake_word(state.ended);
  port::signal_raise(state.signal);
  port::thread_join(state.thread);  // After a slice at the latest.
  state.thread_id.store(0);
  port::close_descriptor(state.poller);
  port::close_descriptor(state.signal);
  release(state.watches);
  state.watches = nullptr;
  state.watch_capacity = 0;
}

int grow_watches() {
  const std::uint32_t capacity = state.watch_capacity == 0 ? 64 : state.watch_capacity * 2;
  if (capacity > watches_max) return -ENOSPC;
  auto* const more = static_cast<Watch*>(allocate(sizeof(Watch) * capacity));
  if (more == nullptr) return -ENOMEM;
  if (state.watch_capacity > 0)
    std::memcpy(more, state.watches, sizeof(Watch) * state.watch_capacity);
  release(state.watches);
  state.watches = more;
  state.watch_capacity = capacity;
  return 0;
}

}  // namespace

int enter(Role& role) {
  const port::Locked start(state.start_lock);
  if (!state.fork_handlers) {
    const int error = port::on_fork(before_fork, after_fork_in_parent, after_fork_in_child);
    if (error != 0) return error;
    state.fork_handlers = true;
  }
  if (role.needs_thread && state.thread_users == 0) {
    const int error = start_thread();
    if (error != 0) return error;
  }
  if (role.needs_thread) ++state.thread_users;
  const port::Locked guard(state.lock);
  role.next = state.roles;
  state.roles = &role;
  return 0;
}

void leave(Role& role) {
  const port::Locked start(state.start_lock);
  {
    const port::Locked guard(state.lock);
    for (Role** at = &state.roles; *at != nullptr; at = &(*at)->next) {
      if (*at != &role) continue;
      *at = role.next;
      break;
    }
  }
  if (role.needs_thread && --state.thread_users == 0) stop_thread();
}

port::Mutex& lock() {
  return state.lock;
}

int watch(Role& role, int descriptor, std::uint32_t tag, bool hangup_only) {
  std::uint32_t index = 0;
  while (index < state.watch_capacity && state.watches[index].role != nullptr)
    ++index;
  if (index == state.watch_capacity) {
    const int error = grow_watches();
    if (error != 0) return error;
  }
  Watch& at = state.watches[index];
  const std::uint32_t generation = at.generation + 1;
  const int error = port::poller_add(state.poller, descriptor,
                                     std::uint64_t{generation} << 32 | index, hangup_only);
  if (error < 0) return error;
  at = {&role, descriptor, tag, generation};
  return static_cast<int>(index);
}

void unwatch(int& watch) {
  if (watch >= 0) {
    Watch& at = state.watches[watch];
    port::poller_remove(state.poller, at.descriptor);
    at.role = nullptr;
  }
  watch = -1;
}

void nudge() {
  if (state.signal >= 0) port::signal_raise(state.signal);
}

std::uint32_t thread_id() {
  return state.thread_id.load(std::memory_order_acquire);
}

int readable_for_ever() {
  const port::Locked guard(kept.lock);
  if (kept.is_there()) return kept.descriptor;
  int pair[2] = {-1, -1};
  const int error = port::socket_make_pair(pair);
  if (error < 0) return error;
  port::close_descriptor(pair[1]);  // Hung up, and that for good.
  if (kept.descriptor < 0) ++kept.count;
  kept.identity = port::socket_identity(pair[0]);
  return kept.descriptor = pair[0];
}

void keep_for_ever() {
  const port::Locked guard(kept.lock);
  kept.descriptor = -1;
  ++kept.count;
}

std::uint32_t kept_descriptors() {
  const port::Locked guard(kept.lock);
  return kept.count;
}

}  // namespace vdset::library
