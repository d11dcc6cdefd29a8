// abi/set_attach.cpp: how a client gets at the parts of a set: judging and mapping what was
// received, asking the server, abort.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include "abi/error.hpp"
#include "abi/hooks.hpp"
#include "abi/set.hpp"

namespace vdset {
namespace {

using core::Site;

/// True: it is news to this process.
bool latch(vdset_set& set, std::uint32_t word) {
  std::uint32_t none = 0;
  return set.aborted.compare_exchange_strong(none, word, std::memory_order_acq_rel);
}

void keep_own_record(vdset_set& set, const core::AbortRecord& record) {
  const port::Locked guard(set.lock);
  if (set.has_own_record) return;
  set.own_record = record;
  set.has_own_record = true;
}

/// Maps one part that was received. 0 or -errno; closes the descriptor.
int map_part(Descriptors& parts, std::size_t i, std::uint64_t bytes, bool writable, port::Seal seal,
             port::Mapping& out) {
  int descriptor = parts.take(i);
  int error = port::memory_judge(descriptor, bytes, seal);
  if (error == 0) error = port::memory_map(descriptor, bytes, writable, out);
  port::close_descriptor(descriptor);
  return error;
}

/// Whether an honest server gives this place in such a set. What a primary itself has wished for
/// is what it must get.
bool is_place_sound(const vdset_set& set, const core::Geometry& geometry, std::uint32_t me) {
  if (!set.primary) return me >= core::first_secondary_index && me < core::participants_max;
  return me == core::primary_index && geometry.device_count == set.terms.wish.device_count &&
         geometry.queue_depth == set.terms.queue_depth && geometry.options == set.terms.options;
}

std::int32_t map_pool(vdset_set& set, std::uint32_t pool, std::int64_t deadline_ns) {
  const core::PoolMap& map = set.pools.map();
  const core::PoolPlan plan = core::read_pool(atomics, set.view.header->pools[pool]);
  const bool sound = core::is_pool_sound(plan, map.slot_total(), set.agreed.prefix_zone_bytes,
                                         set.geometry.page_bytes);
  // Both are at most slots_max.
  if (!sound || plan.first_slot + plan.slot_count > 1u << set.codec.index_bits())
    return poison(set, "a pool row in S cannot be");
  Message question, answer;
  Descriptors descriptors;
  question.kind = MessageKind::map_pool;
  question.a = pool;
  const std::int32_t asked = ask(set, question, answer, descriptors, deadline_ns);
  if (asked != VDSET_OK) return asked;
  if (answer.kind != MessageKind::pool || answer.result != VDSET_OK)
    return fail(VDSET_E_MEMORY, "pool %u: the server could not pass it on", pool);
  int descriptor = descriptors.take(0);
  const bool writable = (set.geometry.options & core::option_data_read_only) == 0;
  int error = port::memory_judge(descriptor, plan.bytes(), port::Seal::fixed_size);
  if (error == 0) error = set.pools.add(plan, descriptor, writable, false);
  if (error == 0) return VDSET_OK;
  port::close_descriptor(descriptor);
  return fail(VDSET_E_MEMORY, "pool %u: cannot map its %llu bytes here: %s", pool,
              static_cast<unsigned long long>(plan.bytes()), std::strerror(-error));
}

}  // namespace

core::AbortRecord make_record(core::Role role, std::uint32_t pid, std::uint32_t call,
                              std::int32_t code, const char* text) {
  core::AbortRecord record{static_cast<std::uint32_t>(role), pid, call,
                           static_cast<std::uint32_t>(code), 0,   {}};
  const std::size_t bytes = strnlen(text, sizeof record.text);
  record.text_bytes = static_cast<std::uint32_t>(bytes);
  std::memcpy(record.text, text, bytes);
  return record;
}

void wake_everybody(core::WakeWords& wake, std::uint32_t device_count) {
  core::EventLine* const bells[] = {&wake.agent, &wake.set};
  for (core::EventLine* bell : bells) {
    core::force_bell(atomics, bell->event);
    port::wake_word(bell->event);
  }
  for (std::uint32_t d = 0; d < device_count; ++d) {
    core::force_bell(atomics, wake.devices[d].event);
    port::wake_word(wake.devices[d].event);
  }
}

/// Tells everybody of an abort that is latched here.
static void spread(vdset_set& set, std::uint32_t call, std::uint32_t participant) {
  if (is_attached(set)) {
    core::request_abort(atomics, *set.wake, call, participant);
    wake_everybody(*set.wake, set.geometry.device_count);
  } else {
    std::uint32_t waiting = static_cast<std::uint32_t>(Phase::waiting);
    __atomic_compare_exchange_n(&set.phase.value, &waiting, static_cast<std::uint32_t>(Phase::over),
                                false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    port::wake_word(set.phase);
  }
}

void abort_set(vdset_set& set, std::uint32_t call, std::uint32_t participant, const char* text,
               std::int32_t code) {
  if (set.aborted.load(std::memory_order_acquire) != 0) return;
  core::Role role = set.primary ? core::Role::primary : core::Role::secondary;
  std::uint32_t pid = port::own_pid();
  if (is_attached(set) && participant != set.me) {
    const auto other = core::read_participant(atomics, set.view.participants[participant]);
    role = other.role;
    pid = other.pid;
  } else if (participant == core::server_index) {
    role = core::Role::server;
    pid = set.server_pid;
  }
  keep_own_record(set, make_record(role, pid, call, code, text));
  latch(set, core::AbortWord{true, call, participant}.pack());
  say(VDSET_LOG_ERROR, "set %s: aborted: %s (call %u, code %d, process %u)", set.name.text, text,
      call, code, pid);
  // The words reach everybody even if the server is stopped; the message carries the text to a
  // server that runs.
  spread(set, call, participant);
}

void take_abort(vdset_set& set, const core::AbortRecord& record) {
  if (set.aborted.load(std::memory_order_acquire) != 0) return;
  keep_own_record(set, record);
  latch(set, core::AbortWord{true, record.call, core::server_index}.pack());
  say(VDSET_LOG_ERROR, "set %s: the server says that it is aborted: %.*s", set.name.text,
      static_cast<int>(record.text_bytes), record.text);
  spread(set, record.call, core::server_index);
}

std::int32_t poison(vdset_set& set, const char* what) {
  abort_set(set, VDSET_CALL_POISONED, core::server_index, what, VDSET_E_UNEXPECTED);
  return fail_aborted(set);
}

bool is_deserted(const vdset_set& set) {
  return is_dead(set.alive) || (port::is_hung_up(set.request_socket) && has_request_socket(set));
}

void keep_request_socket(vdset_set& set, int socket) {
  set.request_socket = socket;
  set.request_identity = port::socket_identity(socket);
}

bool has_request_socket(const vdset_set& set) {
  return set.request_socket >= 0 &&
         port::socket_identity(set.request_socket) == set.request_identity;
}

void drop_request_socket(vdset_set& set) {
  if (has_request_socket(set)) port::close_descriptor(set.request_socket);
  set.request_socket = -1;
}

/// Latches an abort that another process has made known, and passes it on: that one may have died
/// before it woke anybody, and a death wakes one waiter of each word.
[[gnu::noinline]] static bool take_in(vdset_set& set, std::uint32_t word) {
  if (latch(set, word)) wake_everybody(*set.wake, set.geometry.device_count);
  return true;
}

[[gnu::noinline]] static bool take_end(vdset_set& set, core::SetState state) {
  if (state == core::SetState::aborted)
    return take_in(set, core::AbortWord{true, VDSET_CALL_NONE, core::server_index}.pack());
  abort_set(set, VDSET_CALL_POISONED, core::server_index, "a set state in S that cannot be",
            VDSET_E_UNEXPECTED);
  return true;
}

/// Whether somebody has made an abort of the set known.
[[gnu::always_inline]] static inline bool is_end_known(vdset_set& set, core::SetState& state) {
  const std::uint32_t requested = core::abort_requested(atomics, *set.wake);
  if (requested != 0) return take_in(set, requested);
  state = core::read_state(atomics, *set.view.header);
  return state >= core::SetState::aborted && take_end(set, state);
}

/// The server's library thread has ended. What it did before counts, and from here on it can do no
/// more.
[[gnu::noinline]] static bool judge_death(vdset_set& set) {
  core::SetState state{};
  if (is_end_known(set, state)) return true;
  if (state == core::SetState::terminated) return false;
  abort_set(set, VDSET_CALL_DIED, core::server_index, "the server process ended", 0);
  return true;
}

/// The set has ended and its server is gone, perhaps before it woke those who are to see the end; a
/// death wakes one waiter of its word.
[[gnu::noinline]] static void pass_on_end(vdset_set& set) {
  if (!set.end_passed_on.exchange(true)) wake_everybody(*set.wake, set.geometry.device_count);
}

bool end_if_due(vdset_set& set) {
  if (!is_attached(set)) return set.aborted.load(std::memory_order_acquire) != 0;
  core::SetState state{};
  if (is_end_known(set, state)) return true;
  if (!is_dead(set.alive)) return false;
  if (state != core::SetState::terminated) return judge_death(set);
  pass_on_end(set);
  return false;
}

std::int32_t fail_aborted(vdset_set& set) {
  constexpr std::int64_t words_wait_ns = 2'000'000;  // Short: for the text of an error alone.
  const core::AbortRecord reason = find_record(set, words_wait_ns);
  static const char* const roles[] = {"somebody", "the server", "the primary client",
                                      "a secondary client"};
  return fail(VDSET_E_ABORT, "set %s: aborted by %s (process %u): %.*s; close it", set.name.text,
              roles[reason.role <= 3 ? reason.role : 0], reason.pid,
              static_cast<int>(reason.text_bytes), reason.text);
}

std::int32_t attach(vdset_set& set, const Message& from, Descriptors& parts, std::uint32_t me,
                    std::uint32_t pid_of_server) {
  const std::int64_t s_bytes = parts.count > 0 ? port::memory_size(parts.at[0]) : -EINVAL;
  core::Geometry geometry{};
  int error = s_bytes <= 0 || s_bytes > (1 << 24) ? -EINVAL : 0;
  if (error == 0)
    error = map_part(parts, 0, static_cast<std::uint64_t>(s_bytes), false,
                     port::Seal::fixed_size_and_writers, set.s);
  if (error == 0 && core::judge_header(atomics, set.s.span(), geometry) != core::Verdict::sound)
    error = -EPROTO;
  // The parts are of the set that the message speaks of.
  if (error == 0 && std::memcmp(geometry.uuid, from.uuid, sizeof from.uuid) != 0) error = -EPROTO;
  if (error == 0 && !is_place_sound(set, geometry, me)) error = -EPROTO;
  if (error == 0)
    error = port::memory_judge(parts.at[1], geometry.w_bytes(), port::Seal::fixed_size);
  // W's first page a second time, for the alive word: the server learns of this process's end from
  // it.
  if (error == 0 && set.primary) set.alive_place = port::alive_map(parts.at[1], 0);
  if (error == 0)
    error = map_part(parts, 1, geometry.w_bytes(), true, port::Seal::fixed_size, set.w);
  if (error != 0) {
    port::memory_unmap(set.s);
    port::memory_unmap(set.w);
    if (error == -ENOMEM)
      return fail(VDSET_E_MEMORY, "set %s: its parts do not fit into this process", set.name.text);
    return fail(VDSET_E_UNEXPECTED,
                "set %s: the server passed parts that do not fit docs/format.md: %s", set.name.text,
                std::strerror(-error));
  }
  set.geometry = geometry;
  set.view = core::server_part_view(set.s.span(), geometry);
  set.me = me;
  set.alive = &set.view.alive[me].alive;
  set.server_pid = pid_of_server;
  say(VDSET_LOG_INFO, "set %s: attached as participant %u to the server, process %u", set.name.text,
      me, pid_of_server);
  set.wake.publish(reinterpret_cast<core::WakeWords*>(set.w.base));
  std::uint32_t waiting = static_cast<std::uint32_t>(Phase::waiting);
  __atomic_compare_exchange_n(&set.phase.value, &waiting,
                              static_cast<std::uint32_t>(Phase::attached), false, __ATOMIC_ACQ_REL,
                              __ATOMIC_ACQUIRE);
  port::wake_word(set.phase);
  return VDSET_OK;
}

/// No bell reaches who waits for an answer: so often it looks for an abort.
constexpr std::int64_t asking_slice_ns = 5'000'000;

/// Gives back a lock that was taken by trying.
class Unlocked {
 public:
  explicit Unlocked(port::Mutex& mutex) : mutex_(mutex) {}
  ~Unlocked() { port::mutex_unlock(mutex_); }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  port::Mutex& mutex_;
};

static std::int32_t fail_without_socket(const vdset_set& set) {
  return fail(VDSET_E_UNEXPECTED,
              "set %s: this process has closed the socket on which it asks the server; close the "
              "set, and leave vdset's descriptors alone",
              set.name.text);
}

/// Sends a question, unless it is under way since an earlier call. 0 or -errno.
static int send_question(vdset_set& set, Message& question) {
  if (set.pool_asked && question.kind == MessageKind::map_pool) {
    question.request = set.pool_request;  // Pools are mapped in order: it is the same one.
    return 0;
  }
  question.request = ++set.request_number;
  const int error = send_message(set.request_socket, question);
  set.pool_asked = error == 0 && question.kind == MessageKind::map_pool;
  set.pool_request = question.request;
  return error;
}

std::int32_t ask(vdset_set& set, Message& question, Message& answer, Descriptors& descriptors,
                 std::int64_t deadline_ns) {
  while (!port::mutex_try_lock(set.request_lock)) {  // Another thread waits for its answer.
    if (is_over(set)) return fail_aborted(set);
    if (port::now_ns() >= deadline_ns)
      return fail(VDSET_E_TIMEOUT, "set %s: another question waits for the server", set.name.text);
    const core::Word own{0};
    port::wait_word(own, 0, nullptr, 0, port::deadline_after(asking_slice_ns));
  }
  const Unlocked guard(set.request_lock);
  if (set.request_socket < 0)
    return fail(VDSET_E_UNEXPECTED, "set %s: no way to ask the server", set.name.text);
  if (!has_request_socket(set)) return fail_without_socket(set);
  int error = send_question(set, question);
  const bool sent = error == 0;
  while (error == 0) {
    // In slices, so that an abort or a death ends it even when the server is stopped.
    const std::int64_t slice = port::deadline_after(asking_slice_ns);
    const int got = port::wait_readable(set.request_socket, std::min(slice, deadline_ns));
    if (is_over(set)) return fail_aborted(set);
    if (set.closing.load()) return fail(VDSET_E_NOTOPEN, "set %s: closed meanwhile", set.name.text);
    if (got <= 0 && port::now_ns() >= deadline_ns)
      return fail(VDSET_E_TIMEOUT, "set %s: the server does not answer", set.name.text);
    if (got <= 0) continue;
    error = receive_message(set.request_socket, answer, descriptors);
    if (error == -EAGAIN) {
      error = 0;
      continue;
    }
    set.pool_asked = false;
    if (error == -EMFILE) return fail_descriptors(set.name.text);
    if (error == 0 && answer.request == question.request) return VDSET_OK;
    if (error == 0) return poison(set, "an answer that nobody asked for");
  }
  if (is_over(set)) return fail_aborted(set);
  if (set.closing.load()) return fail(VDSET_E_NOTOPEN, "set %s: closed meanwhile", set.name.text);
  if (error == -EPROTO) return poison(set, "an answer that cannot be");
  if (!has_request_socket(set)) return fail_without_socket(set);
  if (core::read_state(atomics, *set.view.header) == core::SetState::terminated)
    return fail(VDSET_E_PROTOCOL, "set %s: its server has closed it", set.name.text);
  if (!sent && error != -EPIPE) return fail_system(error, "cannot ask the server");
  abort_set(set, VDSET_CALL_LEFT, core::server_index, "the server let go of its socket", 0);
  return fail_aborted(set);
}

/// Takes the agreed configuration into private memory. False: it cannot be.
static bool copy_configuration(vdset_set& set) {
  const port::Locked guard(set.lock);
  if (set.configured.load(std::memory_order_acquire)) return true;
  std::uint32_t index_bits = 0;
  core::Configuration agreed;
  if (!core::read_configuration(atomics, *set.view.header, agreed, index_bits) ||
      !core::is_configuration_sound(agreed, set.geometry))
    return false;
  set.agreed = agreed;
  set.codec = core::HandleCodec(set.geometry.salt, index_bits);
  set.slots = {set.view.slots, set.codec, (set.geometry.options & core::option_lease) != 0};
  set.configured.store(true, std::memory_order_release);
  return true;
}

std::int32_t sync_configuration(vdset_set& set) {
  if (set.configured.load(std::memory_order_acquire)) return VDSET_OK;
  const core::SetState state = core::read_state(atomics, *set.view.header);
  if (state < core::SetState::initializing || state > core::SetState::terminated)
    return fail(VDSET_E_PROTOCOL,
                "set %s: the server has not configured it; get the configuration first",
                set.name.text);
  return copy_configuration(set) ? VDSET_OK : poison(set, "a configuration in S that cannot be");
}

std::int32_t sync_pools(vdset_set& set, std::int64_t deadline_ns) {
  const std::int32_t configured = sync_configuration(set);
  if (configured != VDSET_OK) return configured;
  const port::Locked guard(set.grow_lock);
  const std::uint32_t count = atomics.load<Site::pool_read>(set.view.header->pool_count);
  if (count > core::pools_max) return poison(set, "pool_count in S is above its limit");
  while (set.pools.map().count() < count) {
    const std::int32_t mapped = map_pool(set, set.pools.map().count(), deadline_ns);
    if (mapped != VDSET_OK) return mapped;
  }
  return VDSET_OK;
}

}  // namespace vdset
