// abi/bridge.cpp: see bridge.hpp.
#include "abi/bridge.hpp"
#include <cerrno>
#include "abi/error.hpp"
#include "abi/memory.hpp"
#include "core/layout.hpp"

namespace vdset {
namespace {

// Every device and the set itself.
constexpr std::uint32_t pollables_max = core::devices_max + 1;
static_assert(pollables_max + 2 <= port::wait_words_max);

/// Under the lock.
void fire(Pollable& p) {
  p.armed.store(false, std::memory_order_relaxed);
  if (p.source.bell != nullptr) core::disarm_bell(atomics, *p.source.bell);
  if (!p.readable) port::signal_raise(p.descriptor);
  p.readable = true;
}

/// Makes it readable if it is time. Returns when to look again at the latest. Counts what was ready
/// although the bridge slept its time out.
std::int64_t serve(Pollable& p, bool slept_out, std::atomic<std::uint32_t>& rescues) {
  const port::Locked guard(p.lock);
  if (!is_armed(p)) return port::never;
  const bool ready = p.source.ready(p.source.object);
  if (!ready && port::now_ns() < p.deadline_ns) return p.deadline_ns;
  if (ready && slept_out) rescues.fetch_add(1, std::memory_order_relaxed);
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
    for (std::uint32_t i = 0; i < count_.load(std::memory_order_acquire); ++i) {
      if (tell) port::signal_raise(list_[i]->descriptor);
      port::close_descriptor(list_[i]->descriptor);
    }
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
    int error = pollable.descriptor = port::signal_create();
    Bridge* const bridge = error < 0 ? nullptr : find_bridge(home, owner, error);
    if (bridge == nullptr) {
      port::close_descriptor(pollable.descriptor);
      return fail_system(error, "cannot make a pollable descriptor");
    }
    pollable.source = source;
    bridge->add(pollable);
    const port::Locked inner(pollable.lock);
    pollable.bridge = bridge;
  }
  *out = pollable.descriptor;
  return VDSET_OK;
}

std::int32_t arm_pollable(Pollable& pollable, const char* what, bool now, std::int64_t deadline_ns,
                          void (*before)(void* object)) {
  const port::Locked guard(pollable.lock);
  if (pollable.bridge == nullptr)
    return fail(VDSET_E_PROTOCOL, "%s: it has no descriptor yet; get it before arming", what);
  if (pollable.readable) port::signal_clear(pollable.descriptor);
  pollable.readable = false;
  pollable.deadline_ns = deadline_ns;
  if (before != nullptr) before(pollable.source.object);
  pollable.armed.store(true, std::memory_order_relaxed);
  // Edge sleep, as in wait_on_bell: who publishes after this sees the bit, what was published
  // before is seen by ready.
  if (pollable.source.bell != nullptr) (void)core::arm_bell(atomics, *pollable.source.bell);
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
