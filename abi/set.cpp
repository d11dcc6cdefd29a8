// abi/set.cpp: vdset_set_*: create, join, configuration, abort, close.
#include "abi/set.hpp"
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include "abi/error.hpp"
#include "abi/hooks.hpp"

namespace vdset {

static void admit_to_primary(Role& role, const Visitor& visitor);

namespace {

constexpr std::int64_t join_wait_ns = 10'000'000'000;
constexpr std::int64_t reason_wait_ns = 100'000'000;
constexpr std::uint32_t reception_tag = 1;
constexpr std::uint32_t control_tag = 0x10000;
constexpr std::uint32_t server_tag = 0x10001;

Recycler<vdset_set> sets;

vdset_set& of(Role& role) {
  return *reinterpret_cast<vdset_set*>(reinterpret_cast<std::byte*>(&role) -
                                       offsetof(vdset_set, role));
}

// ---- Library thread, for a primary

void take_words(vdset_set& set, const Message& message) {
  char text[message_text_bytes_max + 1] = {};
  std::memcpy(text, message.text, message.text_bytes);
  take_abort(set, make_record(static_cast<core::Role>(message.b), message.c, message.a,
                              message.result, text));
}

/// A secondary that the server has lost. Numbers only grow, and nobody holds more than there is.
void take_loss(vdset_set& set, const Message& message) {
  constexpr std::uint32_t commands_max = core::devices_max * core::queue_depth_max;
  vdset_loss loss{};
  loss.number = message.request;
  loss.call = message.a == VDSET_CALL_DIED ? VDSET_CALL_DIED : VDSET_CALL_LEFT;
  loss.devices = std::min(message.b, core::devices_max);
  loss.pid = message.c;
  loss.commands = std::min(message.d, commands_max);
  loss.handed_over = std::min(static_cast<std::uint32_t>(message.result), loss.commands);
  Name name;
  if (read_name(message.text, message.text_bytes, name))
    std::memcpy(loss.device, name.text, name.bytes);
  {
    const port::Locked guard(set.lock);
    if (loss.number <= set.losses.count) return;
    set.losses.keep(loss);
  }
  say(VDSET_LOG_WARNING, "set %s: process %u, a secondary with %u devices and %u commands, %s",
      set.name.text, loss.pid, loss.devices, loss.commands,
      loss.call == VDSET_CALL_DIED ? "died" : "left");
}

/// An abort that the server had still told of counts before its end.
void hear_out(vdset_set& set) {
  Message message;
  Descriptors descriptors;
  for (int n = 0; n < messages_max && set.control_socket >= 0; ++n) {
    if (receive_message(set.control_socket, message, descriptors) != 0) break;
    if (message.kind == MessageKind::abort) take_words(set, message);
    if (message.kind == MessageKind::loss) take_loss(set, message);
  }
  is_over(set);
}

/// The server is gone: an abort, unless the set had ended; then answer whoever knocks.
void lose_server(vdset_set& set) {
  hear_out(set);
  const bool ended = set.wake != nullptr &&
                     core::read_state(atomics, *set.view.header) == core::SetState::terminated;
  const port::Life life = port::life_of(set.server_pidfd);
  if (set.control_watch >= 0) library::unwatch(set.control_watch);
  port::close_descriptor(set.control_socket);
  const bool open_question = !ended && set.aborted.load() == 0 && life == port::Life::unknown;
  if (open_question && set.role.parting_ns == port::never) {  // Its pidfd, or the tick, answers it.
    set.role.parting_ns = port::now_ns() + library::parting_wait_ns;
    return library::nudge();  // Any thread may have got here.
  }
  set.role.parting_ns = port::never;
  if (set.server_watch >= 0) library::unwatch(set.server_watch);
  port::close_descriptor(set.server_pidfd);
  const bool died = life == port::Life::exiting || life == port::Life::ended;
  if (ended) {  // Who sleeps looks again: the server may have gone before it woke them.
    wake_everybody(*set.wake, set.geometry.device_count);
  } else {
    abort_set(set, died ? VDSET_CALL_DIED : VDSET_CALL_LEFT, core::server_index,
              died ? "the server process died" : "the server closed its end", 0);
  }
  set.has_server = true;  // A set has one server in its life.
  set.reception.open(set.role, set.held.listener, reception_tag, set.terms.access,
                     admit_to_primary);
}

/// An abort of this process's making, in words; the server may have parts that others wait at.
void send_abort(vdset_set& set, const char* words, std::int32_t code) {
  Message message;
  message.kind = MessageKind::abort;
  message.result = code;
  message.a = VDSET_CALL_SIGNAL_ABORT;
  message.set_text(words, strnlen(words, core::reason_text_bytes_max));
  if (set.control_socket >= 0)
    send_message(set.control_socket, message);
  else if (has_request_socket(set))
    send_message(set.request_socket, message);
}

/// The parts came, and this process cannot take them.
void want_parts(vdset_set& set, const char* why) {
  send_abort(set, why, VDSET_E_MEMORY);
  abort_set(set, VDSET_CALL_NONE, core::primary_index, why, VDSET_E_MEMORY);
  lose_server(set);
}

/// The server has made S and W.
void take_parts(vdset_set& set, const Message& message, Descriptors& parts) {
  if (set.wake != nullptr) return lose_server(set);
  int asking = parts.take(2);
  if (port::socket_judge(asking, false) != 0)
    port::close_descriptor(asking);
  keep_request_socket(set, asking);
  const std::int32_t attached = attach(set, message, parts, message.a, set.server_pid);
  if (attached == VDSET_E_MEMORY) return want_parts(set, vdset_last_error());
  if (attached != VDSET_OK) {
    abort_set(set, VDSET_CALL_POISONED, core::server_index, vdset_last_error(), attached);
    return lose_server(set);
  }
  constexpr auto byte = static_cast<std::uint32_t>(offsetof(core::WakeWords, primary_alive));
  // The server then has only the pidfd.
  if (port::alive_enlist(set.alive_place, byte) != 0) return;
  atomics.store<core::Site::alive_store>(set.wake->primary_alive.alive,
                                         library::thread_id() | port::has_waiters);
}

void read_control(vdset_set& set) {
  Message message;
  Descriptors descriptors;
  const int error = receive_message(set.control_socket, message, descriptors);
  if (error == -EAGAIN) return;
  if (error == -EMFILE) return want_parts(set, no_descriptor_free);
  if (error != 0) return lose_server(set);
  if (message.kind == MessageKind::parts) return take_parts(set, message, descriptors);
  if (message.kind == MessageKind::abort) take_words(set, message);
  if (message.kind == MessageKind::loss) take_loss(set, message);
}

}  // namespace

void read_news(vdset_set& set) {
  const port::Locked guard(library::lock());
  if (set.control_socket >= 0) read_control(set);
  for (int n = 0; n < messages_max && set.control_socket >= 0; ++n) {
    if (port::wait_readable(set.control_socket, 0) != 1) break;
    read_control(set);
  }
}

static void admit_to_primary(Role& role, const Visitor& visitor) {
  vdset_set& set = of(role);
  if (visitor.hello.kind == MessageKind::wake) return let_go(visitor);  // Its server is gone.
  if (set.aborted.load() != 0) return refuse(visitor, VDSET_E_ABORT, "the set was aborted");
  Name asked;
  if (!read_name(visitor.hello.text, visitor.hello.text_bytes, asked) || !(asked == set.name))
    return refuse(visitor, VDSET_E_INVALID, "another set listens here");
  if (visitor.role != core::Role::server)
    return refuse(visitor, VDSET_E_PROTOCOL,
                  "not configured yet; let the primary's GetConfiguration return first");
  if (set.has_server) return refuse(visitor, VDSET_E_PROTOCOL, "the set has had its server");
  Message welcome;
  welcome.kind = MessageKind::welcome_server;
  welcome.request = visitor.hello.request;
  welcome.terms = set.terms;
  welcome.a = port::own_pid();
  port::refuse_descriptors(visitor.socket, false);  // The server passes the parts.
  const int listener[] = {set.held.listener};
  if (send_message(visitor.socket, welcome, listener) != 0)
    return refuse(visitor, VDSET_E_UNEXPECTED, "cannot pass the listener");
  set.has_server = true;
  set.server_pid = visitor.who.pid;
  set.server_is_own_users = port::is_own_user(visitor.who.uid);
  set.control_socket = visitor.socket;
  set.server_pidfd = visitor.watch;
  set.control_watch = library::watch(role, visitor.socket, control_tag);
  set.server_watch = library::watch(role, visitor.watch, server_tag);
  if (set.control_watch < 0 || set.server_watch < 0) return lose_server(set);
  set.reception.close();  // The server answers from here on.
}

namespace {

void role_ready(Role& role, std::uint32_t tag) {
  vdset_set& set = of(role);
  if (tag == control_tag) {
    // Without futex_waitv a secondary watches this way for the hang-up of its server.
    if (!set.primary) {
      // After this process's goodbye the server hangs up, too. And what it did before its end
      // counts: an abort has a reason of its own.
      if (!set.closing.load() && !is_over(set)) {
        if (core::read_state(atomics, *set.view.header) != core::SetState::terminated)
          abort_set(set, VDSET_CALL_DIED, core::server_index, "the server process ended", 0);
        else  // It may have gone before it woke those who are to see the end.
          wake_everybody(*set.wake, set.geometry.device_count);
      }
      library::unwatch(set.control_watch);
      return;
    }
    read_control(set);
  } else if (tag == server_tag) {
    lose_server(set);
  } else if (set.reception.handles(tag)) {
    set.reception.ready(tag);
  }
}

void role_tick(Role& role, std::int64_t now_ns) {
  of(role).reception.tick(now_ns);
  if (role.parting_ns <= now_ns) lose_server(of(role));
}

void role_forked(Role& role) {
  vdset_set& set = of(role);
  set.kind.store(Kind::closed);
  set.reception.drop();
  drop_name(set.held);
  port::close_descriptor(set.control_socket);
  port::close_descriptor(set.server_pidfd);
  drop_request_socket(set);
  port::close_descriptor(set.directory.descriptor);
  set.pools.drop();
  drop_bridges(set.bridges);
  for (std::uint32_t i = 0; i < set.device_count; ++i) {
    set.devices[i]->kind.store(Kind::closed);
    set.devices[i]->wake_end.drop();
  }
}

/// A fresh object; VDSET_E_MEMORY when there is none.
vdset_set* make_set(bool primary) {
  vdset_set* const set = sets.get();
  if (set == nullptr) return nullptr;
  set->primary = primary;
  set->request_socket = set->control_socket = set->server_pidfd = -1;
  set->control_watch = set->server_watch = set->alive_place = -1;
  set->me = primary ? core::primary_index : core::nobody;
  set->role.ready = role_ready;
  set->role.tick = role_tick;
  set->role.forked = role_forked;
  set->role.needs_thread = primary || !port::has_wait_many();
  return set;
}

std::int32_t fail_wish(core::ConfigurationFault fault, const core::Configuration& c) {
  switch (fault) {
    case core::ConfigurationFault::device_count:
      return fail(VDSET_E_NOTSUPPORTED, "device_count %u: must be 1 to 64", c.device_count);
    case core::ConfigurationFault::features:
      return fail(
          VDSET_E_NOTSUPPORTED,
          "features 0x%x: use LIKE_PIPE, LIKE_TAPE or LIKE_DISK, with the additions vdset.h names",
          c.features);
    case core::ConfigurationFault::prefix:
      return fail(VDSET_E_NOTSUPPORTED, "prefix_zone_bytes %u: at most 4194304",
                  c.prefix_zone_bytes);
    default:
      return fail(VDSET_E_NOTSUPPORTED, "alignment_bytes %u: at most 65536", c.alignment_bytes);
  }
}

std::int32_t read_terms(const vdset_config* config, const vdset_set_options* given, SetTerms& terms,
                        const char*& directory) {
  vdset_config wish;
  vdset_set_options options;
  if (config == nullptr) return fail(VDSET_E_INVALID, "config: NULL; fill a vdset_config");
  std::int32_t result = read_options(config, "vdset_config", wish);
  if (result == VDSET_OK) result = read_options(given, "vdset_set_options", options);
  if (result != VDSET_OK) return result;
  terms.wish = {wish.device_count,
                wish.features,
                wish.prefix_zone_bytes,
                wish.alignment_bytes,
                wish.soft_file_mark_block_bytes,
                wish.eom_warning_bytes,
                wish.server_timeout_ms,
                0,
                0,
                0,
                0};
  const core::ConfigurationFault fault = core::judge_wish(terms.wish);
  if (fault != core::ConfigurationFault::none) return fail_wish(fault, terms.wish);
  const std::uint32_t depth =
      options.queue_depth == 0 ? core::queue_depth_default : options.queue_depth;
  if (!core::is_power_of_two(depth) || depth < core::queue_depth_min ||
      depth > core::queue_depth_max)
    return fail(VDSET_E_INVALID, "queue_depth %u: a power of two from 8 to 128, or 0", depth);
  if (options.handle_lifetime > 1 || options.on_secondary_death > 1 || options.data_read_only > 1 ||
      options.allowed_gid_set > 1)
    return fail(VDSET_E_INVALID, "vdset_set_options: a choice that is neither 0 nor 1");
  if (options.data_read_only != 0 && wish.prefix_zone_bytes != 0)
    return fail(VDSET_E_INVALID, "data_read_only: not with a prefix zone, which clients write");
  if (options.allowed_uids_count > allowed_uids_max ||
      (options.allowed_uids_count > 0 && options.allowed_uids == nullptr))
    return fail(VDSET_E_INVALID, "allowed_uids: at most %u, and not NULL", allowed_uids_max);
  terms.queue_depth = depth;
  terms.options =
      (options.handle_lifetime == VDSET_HANDLES_LEASE ? core::option_lease : 0) |
      (options.on_secondary_death == VDSET_DEATH_HANDS_OVER ? core::option_hand_over : 0) |
      (options.data_read_only != 0 ? core::option_data_read_only : 0);
  terms.access = {options.allowed_gid_set, options.allowed_gid, options.allowed_uids_count, {}};
  for (std::uint32_t i = 0; i < options.allowed_uids_count; ++i)
    terms.access.uids[i] = options.allowed_uids[i];
  directory = options.directory;
  return VDSET_OK;
}

/// Frees an object that no other thread knows any more.
void dispose(vdset_set& set) {
  close_bridges(set.bridges);
  {
    const port::Locked guard(library::lock());
    set.reception.close();
    if (set.control_watch >= 0) library::unwatch(set.control_watch);
    if (set.server_watch >= 0) library::unwatch(set.server_watch);
    if (set.alive_place >= 0) {
      port::alive_delist(set.alive_place,
                         static_cast<std::uint32_t>(offsetof(core::WakeWords, primary_alive)));
      port::alive_unmap(set.alive_place);
    }
  }
  library::leave(set.role);
  port::close_descriptor(set.control_socket);
  port::close_descriptor(set.server_pidfd);
  drop_request_socket(set);
  port::close_descriptor(set.directory.descriptor);
  free_name(set.held);
  for (std::uint32_t i = 0; i < set.device_count; ++i)
    put_device(*set.devices[i]);
  set.device_count = 0;
  set.pools.close();
  port::memory_unmap(set.s);
  port::memory_unmap(set.w);
  set.kind.store(Kind::closed);
  sets.put(&set);
}

std::int32_t start_primary(vdset_set& set, const char* directory) {
  std::int32_t result =
      hold_name(set.name, directory,
                set.terms.access.uid_count > 0 || set.terms.access.has_gid != 0, set.held);
  if (result != VDSET_OK) return result;
  if (set.held.directory.group && set.terms.access.has_gid == 0) {
    set.terms.access.has_gid = 1;
    set.terms.access.gid = set.held.directory.gid;
  }
  const port::Locked guard(library::lock());
  const int error = set.reception.open(set.role, set.held.listener, reception_tag, set.terms.access,
                                       admit_to_primary);
  return error < 0 ? fail_system(error, "cannot watch the set's socket") : VDSET_OK;
}

/// Sends the hello and waits for the welcome with the parts.
std::int32_t join(vdset_set& set, const vdset_join_options& options) {
  const std::int64_t deadline = port::deadline_after(join_wait_ns);
  Found found = find_name(set.name, options.directory, deadline);
  if (found.result != VDSET_OK) return found.result;
  set.directory = found.directory;
  keep_request_socket(set, found.socket);
  Message hello, answer;
  Descriptors parts;
  hello.kind = MessageKind::hello;
  hello.request = ++set.request_number;
  hello.a = static_cast<std::uint32_t>(core::Role::secondary);
  hello.b = core::layout_version;
  hello.set_text(set.name.text, set.name.bytes);
  // For the wakes (ask_for_wakes): neither who made the listener nor who accepts may be another's.
  port::Credentials maker{};
  const bool asks = port::can_refuse_descriptors() <= 0 &&
                    port::peer_credentials(set.request_socket, maker) == 0 &&
                    port::is_own_user(maker.uid) && port::name_senders(set.request_socket, true);
  int error = send_message(set.request_socket, hello);
  if (error == 0 && port::wait_readable(set.request_socket, deadline) == 0)
    return fail(VDSET_E_TIMEOUT, "set %s: no answer in 10 s; is its server stopped?",
                set.name.text);
  // Who is not admitted is told and let go before it has said anything.
  if (error == 0 || error == -EPIPE) error = receive_message(set.request_socket, answer, parts);
  if (asks) port::name_senders(set.request_socket, false);
  set.server_is_own_users = asks && port::is_own_user(parts.sender_uid);
  if (error == -EMFILE) return fail_descriptors(set.name.text);
  if (error != 0)
    return fail(VDSET_E_PROTOCOL, "set %s: it ended while this process joined", set.name.text);
  if (answer.kind == MessageKind::refused)
    return fail(known_code(answer.result), "set %s: %.*s", set.name.text,
                static_cast<int>(answer.text_bytes), answer.text);
  if (answer.kind != MessageKind::welcome_secondary)
    return fail(VDSET_E_UNEXPECTED, "set %s: an answer of kind %u to a hello", set.name.text,
                static_cast<unsigned>(answer.kind));
  return attach(set, answer, parts, answer.a, answer.c);
}

std::int32_t finish_join(vdset_set& set) {
  if (is_over(set)) return fail_aborted(set);
  const std::int32_t result = sync_pools(set);
  if (result != VDSET_OK || !set.role.needs_thread) return result;
  const port::Locked guard(library::lock());
  set.control_watch = library::watch(set.role, set.request_socket, control_tag, true);
  return set.control_watch < 0 ? fail_system(set.control_watch, "cannot watch the server")
                               : VDSET_OK;
}

/// Waits until the primary has S and W. OK, TIMEOUT, ABORT, NOTOPEN.
std::int32_t wait_for_parts(vdset_set& set, std::int64_t deadline_ns) {
  for (;;) {
    const std::uint32_t phase = __atomic_load_n(&set.phase.value, __ATOMIC_ACQUIRE);
    if (set.closing.load()) return fail(VDSET_E_NOTOPEN, "set %s: closed meanwhile", set.name.text);
    if (set.aborted.load() != 0) return fail_aborted(set);
    if (phase == static_cast<std::uint32_t>(Phase::attached)) return VDSET_OK;
    if (port::now_ns() >= deadline_ns)
      return fail(VDSET_E_TIMEOUT, "set %s: no server has configured it yet", set.name.text);
    sleep_slice(set.phase, phase, nullptr, deadline_ns);
  }
}

std::int32_t wait_for_configuration(vdset_set& set, std::int64_t deadline_ns) {
  for (WakeGuard guard;;) {
    const std::uint32_t seen = core::watch_bell(atomics, set.wake->set.event);
    if (is_over(set)) return fail_aborted(set);
    if (set.closing.load()) return fail(VDSET_E_NOTOPEN, "set %s: closed meanwhile", set.name.text);
    if (core::read_state(atomics, *set.view.header) >= core::SetState::initializing)
      return VDSET_OK;
    if (port::now_ns() >= deadline_ns)
      return fail(VDSET_E_TIMEOUT, "set %s: its server has not finished configuring it",
                  set.name.text);
    const auto woken = sleep_slice(set.wake->set.event, seen, set.alive, deadline_ns);
    guard.note(woken, deadline_ns);
  }
}

/// Whether this process still has devices that have not told CLOSE.
bool has_open_devices(vdset_set& set) {
  const port::Locked guard(set.lock);  // Others may still be opening some.
  for (std::uint32_t i = 0; i < set.device_count; ++i)
    if (!set.devices[i]->closed.load()) return true;
  return false;
}

/// TERMINATED, or about to be: the last device's CLOSED is published just before.
bool has_terminated(vdset_set& set) {
  if (set.wake == nullptr) return false;
  if (core::read_state(atomics, *set.view.header) == core::SetState::terminated) return true;
  for (const core::DeviceRow& row : set.view.rows)
    if (core::DeviceWord::unpack(atomics.load<core::Site::device_read>(row.device)).state !=
        core::DeviceState::closed)
      return false;
  return true;
}

void say_goodbye(vdset_set& set) {
  Message leave;
  leave.kind = MessageKind::leave;
  const port::Locked guard(library::lock());
  if (set.control_socket >= 0) send_message(set.control_socket, leave);
  if (!set.primary && has_request_socket(set)) send_message(set.request_socket, leave);
}

/// Wakes the threads that are in calls of the set and of its devices, and waits until they have
/// left. Afterwards no call gets at what the objects lead to.
void drain_visits(vdset_set& set) {
  visits_of(&set)->drain([&] {
    port::wake_word(set.phase);
    if (set.wake == nullptr) return;
    core::force_bell(atomics, set.wake->set.event);
    port::wake_word(set.wake->set.event);
  });
  for (std::uint32_t i = 0; i < set.device_count; ++i) {
    vdset_device& device = *set.devices[i];
    device.kind.store(Kind::closed);
    visits_of(&device)->drain([&] {
      core::Word& bell = set.wake->devices[device.index].event;
      core::force_bell(atomics, bell);
      port::wake_word(bell);
    });
  }
}

/// What can be said when S has no record (the server died or is stopped): the abort word and the
/// participant table.
core::AbortRecord compose_record(vdset_set& set) {
  const auto word = core::AbortWord::unpack(set.aborted.load());
  core::AbortRecord record{0, 0, known_call(word.reason), 0, 0, {}};
  if (set.wake != nullptr && word.participant < core::participants_max) {
    const auto who = core::read_participant(atomics, set.view.participants[word.participant]);
    record.role = static_cast<std::uint32_t>(who.role);
    record.pid = who.pid;
  }
  const int bytes = std::snprintf(record.text, sizeof record.text, "no text was left");
  record.text_bytes = static_cast<std::uint32_t>(bytes);
  return record;
}

}  // namespace

core::AbortRecord find_record(vdset_set& set, std::int64_t wait_ns) {
  bool is_late;
  {
    const port::Locked guard(set.lock);
    if (set.has_own_record) return set.own_record;
    is_late = set.record_is_late;
  }
  if (set.wake == nullptr) return compose_record(set);
  // The server writes the record a moment after the word; do not wait for one that is gone.
  const std::int64_t deadline = is_late ? 0 : port::deadline_after(wait_ns);
  for (core::AbortRecord record;;) {
    const std::uint32_t seen = core::watch_bell(atomics, set.wake->set.event);
    if (core::read_abort(atomics, *set.view.header, record)) return record;
    const bool died = is_dead(set.alive);
    if (died || port::now_ns() >= deadline) {
      bool known;
      {
        const port::Locked guard(set.lock);
        known = set.record_is_late;
        set.record_is_late |= died || wait_ns == reason_wait_ns;
      }
      if (died && !known) {  // A death wakes one waiter of its word: the others are told here.
        core::force_bell(atomics, set.wake->set.event);
        port::wake_word(set.wake->set.event);
      }
      return compose_record(set);
    }
    sleep_slice(set.wake->set.event, seen, set.alive, deadline);
  }
}

}  // namespace vdset

using namespace vdset;

extern "C" {

int32_t vdset_set_create(const char* name, const vdset_config* config,
                         const vdset_set_options* options, vdset_set** out) {
  if (out == nullptr) return fail(VDSET_E_INVALID, "out: NULL");
  Name judged;
  SetTerms terms{};
  const char* directory = nullptr;
  std::int32_t result = judge_name(name, "set", judged);
  if (result == VDSET_OK) result = read_terms(config, options, terms, directory);
  if (result != VDSET_OK) return result;
  vdset_set* const set = make_set(true);
  if (set == nullptr) return fail(VDSET_E_MEMORY, "set: no memory for its object");
  set->name = judged;
  set->terms = terms;
  const int error = library::enter(set->role);
  if (error != 0) {
    sets.put(set);
    return fail_system(error, "cannot start the library thread");
  }
  result = start_primary(*set, directory);
  if (result != VDSET_OK) {
    dispose(*set);
    return result;
  }
  say(VDSET_LOG_INFO, "set %s: created", set->name.text);
  set->kind.store(Kind::set, std::memory_order_release);
  *out = set;
  return VDSET_OK;
}

int32_t vdset_set_open_in_secondary(const char* name, const vdset_join_options* given,
                                    vdset_set** out) {
  if (out == nullptr) return fail(VDSET_E_INVALID, "out: NULL");
  Name judged;
  vdset_join_options options;
  std::int32_t result = judge_name(name, "set", judged);
  if (result == VDSET_OK) result = read_options(given, "vdset_join_options", options);
  if (result != VDSET_OK) return result;
  vdset_set* const set = make_set(false);
  if (set == nullptr) return fail(VDSET_E_MEMORY, "set: no memory for its object");
  set->name = judged;
  const int error = library::enter(set->role);
  if (error != 0) {
    sets.put(set);
    return fail_system(error, "cannot register the set");
  }
  result = join(*set, options);
  if (result == VDSET_OK) result = finish_join(*set);
  if (result != VDSET_OK) {
    say_goodbye(*set);  // It may have been admitted.
    dispose(*set);
    return result;
  }
  set->kind.store(Kind::set, std::memory_order_release);
  *out = set;
  return VDSET_OK;
}

int32_t vdset_set_get_configuration(vdset_set* set, int64_t timeout_ns, vdset_config* out) {
  const Visit visit(visits_of(set));
  std::int32_t result = judge_object(set, Kind::set, "set");
  if (result != VDSET_OK) return result;
  if (out == nullptr) return fail(VDSET_E_INVALID, "out: NULL");
  const std::int64_t deadline = port::deadline_after(timeout_ns);
  if (is_over(*set)) return fail_aborted(*set);
  result = wait_for_parts(*set, deadline);
  if (result == VDSET_OK) result = wait_for_configuration(*set, deadline);
  if (result == VDSET_OK) result = sync_pools(*set);
  if (result != VDSET_OK) return result;
  return give_config(set->agreed, out);
}

int32_t vdset_set_signal_abort(vdset_set* set, int32_t code, const char* text) {
  const Visit visit(visits_of(set));
  const std::int32_t result = judge_object(set, Kind::set, "set");
  if (result != VDSET_OK) return result;
  const char* const words = text != nullptr ? text : "SignalAbort";
  // Message first: a server that runs then records the words; the abort words follow and reach
  // everybody.
  {
    const port::Locked guard(library::lock());
    send_abort(*set, words, code);
  }
  abort_set(*set, VDSET_CALL_SIGNAL_ABORT, set->me, words, code);
  return VDSET_OK;
}

int32_t vdset_set_get_abort_reason(vdset_set* set, vdset_abort_reason* out) {
  const Visit visit(visits_of(set));
  const std::int32_t result = judge_object(set, Kind::set, "set");
  if (result != VDSET_OK) return result;
  if (!is_over(*set)) return fail(VDSET_E_PROTOCOL, "set %s: not aborted", set->name.text);
  return give_reason(find_record(*set, reason_wait_ns), out);
}

int32_t vdset_set_get_loss(vdset_set* set, uint32_t number, vdset_loss* out) {
  const Visit visit(visits_of(set));
  const std::int32_t result = judge_object(set, Kind::set, "set");
  if (result != VDSET_OK) return result;
  if (!set->primary)
    return fail(VDSET_E_PROTOCOL, "set %s: the primary is told of losses, not a secondary",
                set->name.text);
  read_news(*set);
  const port::Locked guard(set->lock);
  return give_loss(set->losses, set->name.text, number, out);
}

int32_t vdset_set_close(vdset_set* set) {
  std::int32_t result = judge_object(set, Kind::set, "set");
  if (result != VDSET_OK) return result;
  Kind open = Kind::set;
  if (!set->kind.compare_exchange_strong(open, Kind::closed)) return refuse_closed("set");
  set->closing.store(true);
  const bool over = is_over(*set);
  const bool devices_open = !over && has_open_devices(*set);
  const bool terminated = has_terminated(*set);
  bool has_server;
  {
    const port::Locked guard(library::lock());
    has_server = set->has_server;
  }
  if (set->primary && has_server && !over && !terminated)
    abort_set(*set, VDSET_CALL_CLOSE, set->me, "the primary client closed the set before its end",
              0);
  say_goodbye(*set);
  drain_visits(*set);
  if (devices_open)
    result = fail(VDSET_E_OPEN, "set %s: closed while a device had not told CLOSE", set->name.text);
  dispose(*set);
  return result;
}

}  // extern "C"
