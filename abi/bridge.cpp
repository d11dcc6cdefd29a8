// abi/bridge.cpp: see bridge.hpp.
#include "abi/bridge.hpp"
#include <cerrno>
#include "abi/error.hpp"
#include "abi/library.hpp"
#include "abi/memory.hpp"
#include "core/layout.hpp"

namespace vdset {
namespace {

// Every device and the set itself.
constexpr std::uint32_t pollables_max = core::devices_max + 1;
static_assert(pollables_max + 2 <= port::wait_words_max);

// In the poll set of a pollable; its wake ends are 0 and up.
constexpr std::uint64_t signal_key = UINT64_MAX;
constexpr std::uint64_t closed_key = UINT64_MAX - 1;

bool has_poll_set(const Pollable& p) {
  return p.descriptor != p.signal;
}

/// Makes the descriptor, with a poll set where one can be had. 0 or -errno.
int make_descriptor(Pollable& p, const Source& source) {
  p.descriptor = p.signal = port::signal_create();
  if (p.signal < 0 || source.end_count == 0) return p.signal;
  // For close_pollable, where it must not fail.
  int poller = library::readable_for_ever() < 0 ? -1 : port::poller_create();
  if (poller < 0) return 0;
  if (port::poller_add(poller, p.signal, signal_key, false) == 0)
    p.descriptor = poller;
  else
    port::close_descriptor(poller);
  return 0;
}

void join_ends(Pollable& p) {
  if (!has_poll_set(p)) return;
  for (std::uint32_t i = 0; i < p.source.end_count; ++i)
    p.source.end(p.source.object, i).join(p.descriptor, i);
}

/// `tell`: whoever polls it, or a duplicate, finds it readable from here on: a poll set gets a file
/// that stays readable. Not before, for once one file is in 500 poll sets that are polled, the
/// kernel lets no further one be polled. If that is so at the end, the signal stays open instead.
void close_pollable(Pollable& p, bool tell) {
  bool stays = false;
  if (tell) port::signal_raise(p.signal);
  if (tell && has_poll_set(p)) {
    for (std::uint32_t i = 0; i < p.source.end_count; ++i)
      p.source.end(p.source.object, i).leave();
    const int for_ever = library::readable_for_ever();
    stays = port::poller_add(p.descriptor, for_ever, closed_key, false) < 0;
  }
  if (stays) library::keep_for_ever();
  if (has_poll_set(p)) port::close_descriptor(p.descriptor);
  if (!stays) port::close_descriptor(p.signal);
  p.descriptor = p.signal = -1;
}

/// Takes what has made it readable. Under the lock.
void clear(Pollable& p) {
  if (p.readable) port::signal_clear(p.signal);
  p.readable = false;
  if (!has_poll_set(p)) return;
  const auto clear_end = [&](std::uint64_t key) {
    if (key < p.source.end_count)
      p.source.end(p.source.object, static_cast<std::uint32_t>(key)).clear();
  };
  if (p.source.end_count == 1) return clear_end(0);
  std::uint64_t keys[core::devices_max];
  const std::size_t count = port::poller_look(p.descriptor, keys);
  for (std::size_t i = 0; i < count; ++i)
    clear_end(keys[i]);
}

/// Bit 1 where every look of a peer is seen, and for those who may still ask for a connection: who
/// has none wakes the word for either bit.
std::uint32_t bit_to_arm(Pollable& p) {
  const bool sees_looks =
      has_poll_set(p) && (p.source.invites || p.source.end(p.source.object, 0).is_met());
  return sees_looks ? core::event_descriptor : core::event_armed;
}

/// Under the lock.
void fire(Pollable& p) {
  p.armed.store(false, std::memory_order_relaxed);
  if (p.source.bell != nullptr) core::disarm_bell(atomics, *p.source.bell);
  if (!p.readable) port::signal_raise(p.signal);
  p.readable = true;
}

/// Makes it readable if it is time. Returns when to look again at the latest. Counts what was ready
/// although the bridge slept its time out.
std::int64_t serve(Pollable& p, bool slept_out, std::atomic<std::uint32_t>& rescues) {
  const port::Locked guard(p.lock);
  if (!is_armed(p)) return port::never;
  const bool ready = p.source.ready(p.source.object);
  if (!ready && port::now_ns() < p.deadline_ns) return p.deadline_ns;
  // A peer's look has told it, and the loop is late.
  const auto is_told = [&] { return has_poll_set(p) && port::wait_readable(p.descriptor, 0) == 1; };
  if (ready && slept_out && !is_told()) rescues.fetch_add(1, std::memory_order_relaxed);
  fire(p);
  return port::never;
}

}  // namespace

class Bridge {
 public:
  Bridge* next = nullptr;

  int start(const BridgeOwner& owner) {
    owner_ = owner;
    return port::thread_start(thread_, [](void* self) -> void* {
      static_cast<Bridge*>(self)->run();
      return nullptr;
    }, this);
  }

  void add(Pollable& pollable) {
    const std::uint32_t count = count_.load(std::memory_order_relaxed);
    Expects(count < pollables_max);
    list_[count] = &pollable;
    count_.store(count + 1, std::memory_order_release);
    nudge();
  }

  /// Makes the thread look by then.
  void look_by(std::int64_t deadline_ns) {
    if (deadline_ns < sleeps_until_ns_.load(std::memory_order_relaxed)) nudge();
  }

  void stop() {
    stopping_.store(true, std::memory_order_release);
    // Again and again: without futex_waitv a wake that comes just before the sleep is lost.
    while (__atomic_load_n(&ended_.value, __ATOMIC_ACQUIRE) == 0) {
      nudge();
      port::wait_word(ended_, 0, nullptr, 0, port::deadline_after(slice_ns / 50));
    }
    port::thread_join(thread_);
  }

  std::uint32_t rescues() const { return rescues_.load(std::memory_order_relaxed); }

  void close_descriptors(bool tell) {
    for (std::uint32_t i = 0; i < count_.load(std::memory_order_acquire); ++i)
      close_pollable(*list_[i], tell);
  }

 private:
  void nudge() {
    __atomic_fetch_add(&control_.value, 1, __ATOMIC_ACQ_REL);
    port::wake_word(control_);
    if (port::has_wait_many()) return;
    for (std::uint32_t i = 0; i < count_.load(std::memory_order_acquire); ++i)
      port::wake_word(list_[i]->source.word(list_[i]->source.object));
  }

  /// What to sleep on. Values first, conditions after: whatever changes in between ends the sleep.
  std::size_t collect(port::WordValue* out) const {
    std::size_t n = 0;
    // Before the count: an addition bumps it afterwards.
    const port::WordValue control{&control_, __atomic_load_n(&control_.value, __ATOMIC_ACQUIRE)};
    const std::uint32_t count = count_.load(std::memory_order_acquire);
    for (std::uint32_t i = 0; i < count; ++i) {
      const core::Word& word = list_[i]->source.word(list_[i]->source.object);
      out[n++] = {&word, core::watch_bell(atomics, word)};
    }
    out[n++] = control;
    const core::Word* const alive = owner_.alive(owner_.object);
    if (alive != nullptr)
      out[n++] = {alive, atomics.load<core::Site::alive_read>(*alive)};
    return n;
  }

  void run() {
    port::WordValue words[port::wait_words_max];
    bool slept_out = false;
    for (;;) {
      // Who arms from here on finds `never`, and nudges.
      sleeps_until_ns_.store(port::never, std::memory_order_relaxed);
      const std::size_t count = collect(words);
      if (stopping_.load(std::memory_order_acquire)) break;
      owner_.is_over(owner_.object);
      std::int64_t until = slice_end(port::never);
      for (std::uint32_t i = 0; i < count_.load(std::memory_order_acquire); ++i) {
        const std::int64_t at = serve(*list_[i], slept_out, rescues_);
        if (at < until) until = at;
      }
      sleeps_until_ns_.store(until, std::memory_order_release);
      slept_out = port::wait_words({words, count}, until) == port::Woken::timed_out;
    }
    __atomic_store_n(&ended_.value, 1, __ATOMIC_RELEASE);
    port::wake_word(ended_);
  }

  BridgeOwner owner_{};
  port::Thread thread_{};
  core::Word control_{0};
  core::Word ended_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<std::int64_t> sleeps_until_ns_{port::never};
  std::atomic<std::uint32_t> count_{0};
  std::atomic<std::uint32_t> rescues_{0};
  Pollable* list_[pollables_max] = {};
};

namespace {

/// The bridge for one more descriptor, or null with an error. Under the home's lock.
Bridge* find_bridge(BridgeHome& home, const BridgeOwner& owner, int& error) {
  if (home.first != nullptr && port::has_wait_many()) return home.first;
  void* const memory = allocate(sizeof(Bridge));
  error = memory == nullptr ? -ENOMEM : 0;
  if (error != 0) return nullptr;
  auto* const bridge = new (memory) Bridge();
  error = bridge->start(owner);
  if (error != 0) {
    release(bridge);
    return nullptr;
  }
  bridge->next = home.first;
  home.first = bridge;
  return bridge;
}

}  // namespace

std::int32_t open_pollable(BridgeHome& home, const BridgeOwner& owner, Pollable& pollable,
                           const Source& source, int* out) {
  if (out == nullptr) return fail(VDSET_E_INVALID, "out: NULL");
  const port::Locked guard(home.lock);
  if (pollable.bridge == nullptr) {
    int error = make_descriptor(pollable, source);
    Bridge* const bridge = error < 0 ? nullptr : find_bridge(home, owner, error);
    if (bridge == nullptr) {
      close_pollable(pollable, false);
      return fail_system(error, "cannot make a pollable descriptor");
    }
    pollable.source = source;
    join_ends(pollable);
    bridge->add(pollable);
    const port::Locked inner(pollable.lock);
    pollable.bridge = bridge;
    pollable.polled.store(true, std::memory_order_relaxed);
  }
  *out = pollable.descriptor;
  return VDSET_OK;
}

std::int32_t arm_pollable(Pollable& pollable, const char* what, bool now, std::int64_t deadline_ns,
                          void (*before)(void* object)) {
  const port::Locked guard(pollable.lock);
  if (pollable.bridge == nullptr)
    return fail(VDSET_E_PROTOCOL, "%s: it has no descriptor yet; get it before arming", what);
  clear(pollable);
  pollable.deadline_ns = deadline_ns;
  if (before != nullptr) before(pollable.source.object);
  const std::uint32_t bit = bit_to_arm(pollable);
  if (is_armed(pollable) && bit != pollable.armed_by && pollable.source.bell != nullptr)
    core::disarm_bell(atomics, *pollable.source.bell);
  pollable.armed_by = bit;
  pollable.armed.store(true, std::memory_order_relaxed);
  // Edge sleep, as in wait_on_bell: who publishes after this sees the bit, what was published
  // before is seen by ready. Looks that came before this were taken above.
  if (pollable.source.bell != nullptr) (void)core::arm_bell(atomics, *pollable.source.bell, bit);
  if (now || pollable.source.ready(pollable.source.object))
    fire(pollable);
  else if (deadline_ns != port::never)
    pollable.bridge->look_by(deadline_ns);
  return VDSET_OK;
}

void disarm_pollable(Pollable& pollable) {
  const port::Locked guard(pollable.lock);
  if (!is_armed(pollable)) return;
  pollable.armed.store(false, std::memory_order_relaxed);
  if (pollable.source.bell != nullptr) core::disarm_bell(atomics, *pollable.source.bell);
}

std::uint32_t rescue_count(BridgeHome& home) {
  const port::Locked guard(home.lock);
  std::uint32_t sum = 0;
  for (Bridge* bridge = home.first; bridge != nullptr; bridge = bridge->next)
    sum += bridge->rescues();
  return sum;
}

void close_bridges(BridgeHome& home) {
  while (Bridge* const bridge = home.first) {
    home.first = bridge->next;
    bridge->stop();
    bridge->close_descriptors(true);
    release(bridge);
  }
}

void drop_bridges(BridgeHome& home) {
  for (Bridge* bridge = home.first; bridge != nullptr; bridge = bridge->next)
    bridge->close_descriptors(false);
  home.first = nullptr;
}

}  // namespace vdset
