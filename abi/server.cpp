// abi/server.cpp: vdset_server_*: open, configuration, buffers, abort, close.
#include "abi/server.hpp"
#include <cerrno>
#include <cstdio>
#include <cstring>
#include "abi/error.hpp"
#include "abi/hooks.hpp"

namespace vdset {
namespace {

using core::SetState;

constexpr std::int64_t welcome_wait_ns = 10'000'000'000;

Recycler<vdset_server> servers;
Recycler<vdset_server_device> server_devices;

vdset_server* make_server() {
  vdset_server* const server = servers.get();
  if (server == nullptr) return nullptr;
  server->s_descriptor = server->w_descriptor = server->alive_place = server->listener = -1;
  for (auto& peer : server->peers) {
    peer.socket = peer.request_socket = peer.pidfd = -1;
    peer.socket_watch = peer.request_watch = peer.pid_watch = -1;
  }
  server->role.ready = server_ready;
  server->role.tick = server_tick;
  server->role.forked = server_forked;
  server->role.needs_thread = true;
  return server;
}

vdset_server_device* make_device(vdset_server& server, std::uint32_t index) {
  vdset_server_device* const device = server_devices.get();
  if (device == nullptr) return nullptr;
  device->server = &server;
  device->index = index;
  device->consumer = core::nobody;
  device->c_descriptor = -1;
  for (std::uint32_t i = 0; i < core::finished_max; ++i)
    device->pending[i].next_free = i + 1;
  return device;
}

void dispose(vdset_server& server) {
  close_bridges(server.bridges);
  {
    const port::Locked guard(library::lock());
    server.reception.close();
    send_abort(server);
    close_peers(server);
    port::alive_unmap(server.alive_place);
  }
  library::leave(server.role);
  for (vdset_server_device* device : server.devices) {
    if (device == nullptr) continue;
    device->kind.store(Kind::closed);
    port::memory_unmap(device->c);
    port::close_descriptor(device->c_descriptor);
    device->wake_end.close();
    server_devices.put(device);
  }
  server.pools.close();
  port::memory_unmap(server.s);
  port::memory_unmap(server.w);
  port::close_descriptor(server.s_descriptor);
  port::close_descriptor(server.w_descriptor);
  port::close_descriptor(server.listener);
  release(server.pulled);
  server.kind.store(Kind::closed);
  servers.put(&server);
}

/// What a primary wishes: the geometry is made of it, so it is judged like everything of a peer.
bool are_terms_sound(const SetTerms& terms) {
  const core::Geometry geometry{
      terms.wish.device_count, terms.queue_depth, port::page_bytes(), terms.options, 1, {}};
  return core::judge_wish(terms.wish) == core::ConfigurationFault::none &&
         core::is_geometry_sound(geometry) &&
         core::are_options_sound(terms.options, terms.wish.prefix_zone_bytes, 0);
}

/// Hello and welcome; the peer is the primary.
std::int32_t join(vdset_server& server, const vdset_join_options& options) {
  const std::int64_t deadline = port::deadline_after(welcome_wait_ns);
  Found found = find_name(server.name, options.directory, deadline);
  if (found.result != VDSET_OK) return found.result;
  port::close_descriptor(found.directory.descriptor);
  vdset_server::Peer& primary = server.peers[core::primary_index];
  primary.socket = found.socket;
  Message hello, answer;
  Descriptors parts;
  hello.kind = MessageKind::hello;
  hello.request = 1;
  hello.a = static_cast<std::uint32_t>(core::Role::server);
  hello.b = core::layout_version;
  hello.set_text(server.name.text, server.name.bytes);
  // A set has one server in its life: a welcome that could not be taken would be the end of it.
  if (!port::has_descriptors(2)) return fail_descriptors(server.name.text);
  int error = send_message(primary.socket, hello);
  if (error == 0 && port::wait_readable(primary.socket, deadline) == 0)
    return fail(VDSET_E_TIMEOUT, "set %s: its primary client does not answer; is it stopped?",
                server.name.text);
  // Who is not admitted is told and let go before it has said anything.
  if (error == 0 || error == -EPIPE) error = receive_message(primary.socket, answer, parts);
  if (error == -EMFILE) return fail_descriptors(server.name.text);
  if (error != 0)
    return fail(VDSET_E_INVALID, "set %s: it ended while the server opened it", server.name.text);
  if (answer.kind == MessageKind::refused)
    return fail(known_code(answer.result), "set %s: %.*s", server.name.text,
                static_cast<int>(answer.text_bytes), answer.text);
  if (answer.kind != MessageKind::welcome_server || !are_terms_sound(answer.terms))
    return fail(VDSET_E_UNEXPECTED, "set %s: the answer to the hello cannot be", server.name.text);
  server.terms = answer.terms;
  server.listener = parts.take(0);
  if (port::socket_judge(server.listener, true) != 0)
    return fail(VDSET_E_UNEXPECTED, "set %s: what its primary passed is no listener",
                server.name.text);
  port::Credentials who;
  error = port::peer_credentials(primary.socket, who);
  if (error == 0) error = primary.pidfd = port::peer_watch(primary.socket, who);
  // An older kernel tells of a process only while it is there.
  if (error < 0 && port::is_hung_up(primary.socket))
    return fail(VDSET_E_INVALID, "set %s: it ended while the server opened it", server.name.text);
  if (error < 0)
    return fail(VDSET_E_SECURITY, "set %s: the kernel cannot tell when its primary ends",
                server.name.text);
  primary.role = core::Role::primary;
  primary.state = core::ParticipantState::active;
  primary.pid = server.primary_pid = who.pid;
  const port::Locked guard(library::lock());
  error = open_reception(server);
  return error < 0 ? fail_system(error, "cannot watch the set") : VDSET_OK;
}

/// Makes S, W and all C parts. 0 or -errno; what was made is freed by dispose.
int make_parts(vdset_server& server) {
  const core::Geometry& g = server.geometry;
  server.s_descriptor = port::memory_create(g.s_bytes());
  if (server.s_descriptor < 0) return server.s_descriptor;
  int error = port::memory_map(server.s_descriptor, g.s_bytes(), true, server.s);
  if (error == 0) {
    const port::Locked guard(library::lock());
    // Before the library thread finds the place: a primary that ends now is delisted there.
    server.part = core::server_part(server.s.span(), g);
    // Mapped a second time while it may still be mapped writable: the alive words of the
    // participants.
    error = server.alive_place = port::alive_map(server.s_descriptor, g.alive_offset());
  }
  if (error >= 0)
    error = port::memory_seal(server.s_descriptor, port::Seal::fixed_size_and_writers);
  if (error < 0) return error;
  server.w_descriptor = port::memory_create(g.w_bytes());
  if (server.w_descriptor < 0) return server.w_descriptor;
  error = port::memory_map(server.w_descriptor, g.w_bytes(), true, server.w);
  if (error == 0) error = port::memory_seal(server.w_descriptor, port::Seal::fixed_size);
  if (error != 0) return error;
  for (std::uint32_t i = 0; i < g.device_count; ++i) {
    vdset_server_device* const device = server.devices[i] = make_device(server, i);
    if (device == nullptr) return -ENOMEM;
    error = make_client_part(server, device->c, device->c_descriptor);
    if (error != 0) return error;
    const core::ClientPart c = core::client_part(device->c.span(), g);
    device->device = {{server.part.ring(i), c.lines}, *c.header};
  }
  server.pulled_capacity = g.device_count * core::finished_max;
  server.pulled =
      static_cast<vdset_command**>(allocate(sizeof(vdset_command*) * server.pulled_capacity));
  return server.pulled == nullptr ? -ENOMEM : 0;
}

/// Undoes make_parts after a failure, so that BeginConfiguration can be called again.
void drop_parts(vdset_server& server) {
  {
    const port::Locked guard(library::lock());
    port::alive_unmap(server.alive_place);
    server.alive_place = -1;
  }
  for (vdset_server_device*& device : server.devices) {
    if (device == nullptr) continue;
    port::memory_unmap(device->c);
    port::close_descriptor(device->c_descriptor);
    server_devices.put(device);
    device = nullptr;
  }
  port::memory_unmap(server.s);
  port::memory_unmap(server.w);
  port::close_descriptor(server.s_descriptor);
  port::close_descriptor(server.w_descriptor);
  release(server.pulled);
  server.pulled = nullptr;
}

/// Writes what BeginConfiguration publishes, and passes S and W to the primary.
std::int32_t publish_parts(vdset_server& server) {
  core::write_header(atomics, *server.part.header, server.geometry);
  for (std::uint32_t i = 0; i < core::participants_max; ++i)
    atomics.store<core::Site::alive_store>(server.part.alive[i].alive, 0);
  core::write_text(atomics, server.part.rows[0].name,
                   gsl::span<const char>(server.name.text, server.name.bytes));
  atomics.store<core::Site::fields_write>(server.part.rows[0].name_bytes, server.name.bytes);
  vdset_server::Peer& primary = server.peers[core::primary_index];
  core::publish_participant(
      atomics, server.part.participants[core::server_index],
      {core::ParticipantState::active, static_cast<std::uint32_t>(core::Role::server), 1},
      port::own_pid());
  core::publish_participant(
      atomics, server.part.participants[core::primary_index],
      {core::ParticipantState::active, static_cast<std::uint32_t>(core::Role::primary), 1},
      primary.pid);
  int pair[2] = {-1, -1};
  int error = port::socket_make_pair(pair);
  const port::Locked guard(library::lock());
  // The primary may have ended meanwhile; then nobody would close its end.
  if (error == 0 && primary.state == core::ParticipantState::free) error = -EPIPE;
  if (error < 0) port::close_descriptor(pair[0]);
  if (error == 0) {
    primary.request_socket = pair[0];
    port::refuse_descriptors(pair[0], true);
    error = primary.request_watch =
        library::watch(server.role, pair[0], 0x30000 | core::primary_index);
  }
  if (error >= 0) {
    constexpr std::uint32_t word = core::primary_index * sizeof(core::AliveWord);
    if (port::alive_enlist(server.alive_place, word) == 0)
      atomics.store<core::Site::alive_store>(server.part.alive[core::primary_index].alive,
                                             library::thread_id() | port::has_waiters);
    Message parts;
    parts.kind = MessageKind::parts;
    std::memcpy(parts.uuid, server.geometry.uuid, sizeof parts.uuid);
    parts.a = core::primary_index;
    parts.b = 1;
    const int descriptors[] = {server.s_descriptor, server.w_descriptor, pair[1]};
    error = send_message(primary.socket, parts, descriptors);
  }
  port::close_descriptor(pair[1]);
  return error < 0 ? fail_system(error, "cannot pass the parts to the primary client") : VDSET_OK;
}

std::int32_t fail_base(core::ConfigurationFault fault, const vdset_base_configuration& base) {
  switch (fault) {
    case core::ConfigurationFault::block:
      return fail(VDSET_E_INVALID, "block_bytes %u: a power of two from 512 to 65536",
                  base.block_bytes);
    case core::ConfigurationFault::alignment:
      return fail(VDSET_E_INVALID,
                  "alignment_bytes %u: 0, or a power of two from block_bytes to 65536",
                  base.alignment_bytes);
    case core::ConfigurationFault::transfer:
      return fail(VDSET_E_INVALID, "max_transfer_bytes %u: a multiple of 65536 up to 4194304",
                  base.max_transfer_bytes);
    default:
      return fail(VDSET_E_INVALID,
                  "features 0x%x: the client's, plus WRITE_MEDIA or READ_MEDIA; COMPLETE_ENABLED "
                  "only when asked for",
                  base.features);
  }
}

/// Size and alignment of a request, resolved. INVALID when out of range.
std::int32_t judge_buffers(const vdset_server& server, std::uint32_t size_bytes,
                           std::uint32_t& alignment) {
  if (alignment == 0) alignment = server.agreed.alignment_bytes;
  if (!core::is_power_of_two(alignment) || alignment > core::alignment_max)
    return fail(VDSET_E_INVALID, "alignment_bytes %u: 0, or a power of two up to 65536", alignment);
  if (alignment < server.agreed.alignment_bytes) alignment = server.agreed.alignment_bytes;
  if (size_bytes == 0 || size_bytes > core::transfer_bytes_max)
    return fail(VDSET_E_INVALID, "size_bytes %u: 1 to 4194304", size_bytes);
  return VDSET_OK;
}

/// Makes, maps and publishes one pool; under pool_lock. 0 or -errno; nothing is left on failure.
int add_pool(vdset_server& server, const vdset_server::Request& request) {
  const core::PoolMap& map = server.pools.map();
  const core::PoolPlan plan =
      core::plan_pool(map.slot_total(), request.count, request.size_bytes, request.alignment,
                      server.agreed.prefix_zone_bytes, server.geometry.page_bytes);
  std::uint64_t room = port::memory_available();
  if (server.area_bytes_max != 0 && server.area_bytes_max < room) room = server.area_bytes_max;
  if (plan.bytes() > room) return -ENOMEM;
  int descriptor = port::memory_create(plan.bytes());
  if (descriptor < 0) return descriptor;
  const bool read_only = (server.geometry.options & core::option_data_read_only) != 0;
  std::uint32_t seed = 0;
  int error =
      port::random_bytes(gsl::span<std::byte>(reinterpret_cast<std::byte*>(&seed), sizeof seed));
  if (error == 0) error = server.pools.add(plan, descriptor, true, true);
  if (error != 0) {
    port::close_descriptor(descriptor);
    return error;
  }
  error = port::memory_seal(
      descriptor, read_only ? port::Seal::fixed_size_and_writers : port::Seal::fixed_size);
  if (error != 0) {
    server.pools.drop_last();  // Rather than share what can be cut away.
    return error;
  }
  server.clients_cannot_write = read_only && port::memory_is_read_only(descriptor);
  server.buffers.add_pool(atomics, plan, seed);
  return 0;
}

std::uint32_t requested_slots(const vdset_server& server) {
  std::uint32_t total = 0;
  for (std::uint32_t i = 0; i < server.request_count; ++i)
    total += server.requests[i].count;
  return total;
}

std::int32_t sum_request(vdset_server& server, std::uint32_t size_bytes, std::uint32_t alignment,
                         std::uint32_t count) {
  if (count > core::slots_max || requested_slots(server) + count > core::slots_max)
    return fail(VDSET_E_MEMORY, "request of %u buffers: a set has at most %u", count,
                core::slots_max);
  for (std::uint32_t i = 0; i < server.request_count; ++i) {
    vdset_server::Request& at = server.requests[i];
    if (at.size_bytes != size_bytes || at.alignment != alignment) continue;
    at.count += count;
    return VDSET_OK;
  }
  if (server.request_count == core::pools_max)
    return fail(VDSET_E_MEMORY, "request of %u-byte buffers: a set has at most %u sizes",
                size_bytes, core::pools_max);
  server.requests[server.request_count++] = {size_bytes, alignment, count};
  return VDSET_OK;
}

std::int32_t extend(vdset_server& server, const vdset_server::Request& request) {
  const core::PoolMap& map = server.pools.map();
  if (map.count() == core::pools_max)
    return fail(VDSET_E_MEMORY, "request of %u buffers: the set has its %u pools already",
                request.count, core::pools_max);
  if (request.count > (1u << server.codec.index_bits()) - map.slot_total())
    return fail(VDSET_E_MEMORY,
                "request of %u buffers: %u of %u are made; set buffers_max when opening",
                request.count, map.slot_total(), 1u << server.codec.index_bits());
  const int error = add_pool(server, request);
  if (error != 0)
    return fail(VDSET_E_MEMORY, "request of %u buffers of %u bytes: %s", request.count,
                request.size_bytes, std::strerror(-error));
  const std::uint32_t last = server.pools.map().count() - 1;
  server.words.publish_pool(atomics, last, server.pools.map().plan(last));
  return VDSET_OK;
}

/// All requested pools, or none. 0 or -errno.
int make_pools(vdset_server& server) {
  server.buffers = {server.part.slots, (server.geometry.options & core::option_lease) != 0};
  std::uint64_t total = 0;
  for (std::uint32_t i = 0; i < server.request_count; ++i) {
    const auto& r = server.requests[i];
    total += core::plan_pool(0, r.count, r.size_bytes, r.alignment, server.agreed.prefix_zone_bytes,
                             server.geometry.page_bytes)
                 .bytes();
  }
  int error = total > port::memory_available() ||
                      (server.area_bytes_max != 0 && total > server.area_bytes_max)
                  ? -ENOMEM
                  : 0;
  for (std::uint32_t i = 0; i < server.request_count && error == 0; ++i)
    error = add_pool(server, server.requests[i]);
  server.agreed.buffer_area_bytes =
      total > UINT32_MAX ? UINT32_MAX : static_cast<std::uint32_t>(total);
  if (error != 0) server.pools.close();
  return error;
}

/// OK when the server is open and its state is one of [least, most]; ABORT, PROTOCOL, NOTOPEN,
/// INVALID.
std::int32_t judge_state(vdset_server* server, SetState least, SetState most) {
  const std::int32_t result = judge_object(server, Kind::server, "server");
  if (result != VDSET_OK) return result;
  if (is_over(*server)) return fail_aborted(*server);
  const SetState state = state_of(*server);
  if (state >= least && state <= most) return VDSET_OK;
  return fail(VDSET_E_PROTOCOL, "set %s: not callable in this state (%u)", server->name.text,
              static_cast<unsigned>(state));
}

/// The data path's check: no lock.
std::int32_t judge_for_handles(const vdset_server* server) {
  const std::int32_t result = judge_object(server, Kind::server, "server");
  if (result != VDSET_OK || server->pools.map().count() > 0) return result;
  return fail(VDSET_E_PROTOCOL, "set %s: it has no buffers yet", server->name.text);
}

}  // namespace

SetState state_of(const vdset_server& server) {
  return server.state.load(std::memory_order_acquire);
}

bool advance(vdset_server& server, SetState to) {
  const port::Locked guard(server.state_lock);
  if (server.state == SetState::aborted) return false;
  server.state.store(to, std::memory_order_release);
  server.words.publish_state(atomics, to);
  return true;
}

void ring_set_bell(vdset_server& server) {
  core::force_bell(atomics, server.wake->set.event);
  port::wake_word(server.wake->set.event);
}

void ring_device_bell(vdset_server& server, std::uint32_t device) {
  core::force_bell(atomics, server.wake->devices[device].event);
  port::wake_word(server.wake->devices[device].event);
}

void abort_server(vdset_server& server, std::uint32_t call, std::uint32_t participant,
                  const char* text, std::int32_t code) {
  core::Role role = core::Role::server;
  std::uint32_t pid = port::own_pid();
  if (participant == core::primary_index) {
    role = core::Role::primary;  // Its row in S may not be written yet.
    pid = server.primary_pid;
  } else if (participant != core::server_index && participant < core::participants_max &&
             server.wake != nullptr) {
    const auto who = core::read_participant(atomics, server.part.participants[participant]);
    role = who.role;
    pid = who.pid;
  }
  {
    const port::Locked guard(server.state_lock);
    // A normal end stands, whoever dies after it; only a server that asks for it aborts it.
    const bool asked = call == VDSET_CALL_SIGNAL_ABORT && participant == core::server_index;
    if (server.state == SetState::aborted || (server.state == SetState::terminated && !asked))
      return;
    server.state = SetState::aborted;
    server.aborted.store(true, std::memory_order_release);
    server.abort_record = make_record(role, pid, call, code, text);
    if (server.wake != nullptr) {
      server.words.record_abort(atomics, server.abort_record);
      server.words.publish_state(atomics, SetState::aborted);
    }
  }
  say(VDSET_LOG_ERROR, "set %s: aborted: %s (call %u, code %d, process %u)", server.name.text, text,
      call, code, pid);
  if (server.wake != nullptr) {
    core::request_abort(atomics, *server.wake, call, participant);
    wake_everybody(*server.wake, server.geometry.device_count);
  }
  // A primary that has no parts yet hears of it by message only.
  server.role.attention.store(true);
  library::nudge();
}

void poison_device(vdset_server& server, std::uint32_t device, const core::FinishedList& found) {
  char text[core::reason_text_bytes_max];
  std::snprintf(text, sizeof text, "device %u, line %u: a command word that cannot be", device,
                found.corrupt_line);
  abort_server(server, VDSET_CALL_POISONED, core::server_index, text, 0);
}

bool end_if_due(vdset_server& server) {
  if (state_of(server) == SetState::terminated) return false;
  if (core::abort_requested(atomics, *server.wake) != 0) {
    const port::Locked guard(library::lock());
    obey_request(server);
    return state_of(server) == SetState::aborted;
  }
  if (!is_dead(&server.wake->primary_alive.alive)) return false;
  abort_server(server, VDSET_CALL_DIED, core::primary_index, "the primary client's process ended",
               0);
  return state_of(server) == SetState::aborted;
}

std::int32_t fail_aborted(vdset_server& server) {
  static const char* const roles[] = {"somebody", "the server", "the primary client",
                                      "a secondary client"};
  const port::Locked guard(server.state_lock);
  const core::AbortRecord& r = server.abort_record;
  return fail(VDSET_E_ABORT, "set %s: aborted by %s (process %u): %.*s; close it", server.name.text,
              roles[r.role <= 3 ? r.role : 0], r.pid, static_cast<int>(r.text_bytes), r.text);
}

}  // namespace vdset

using namespace vdset;

extern "C" {

int32_t vdset_server_open(const char* name, const vdset_join_options* given, vdset_server** out) {
  if (out == nullptr) return fail(VDSET_E_INVALID, "out: NULL");
  Name judged;
  vdset_join_options options;
  std::int32_t result = judge_name(name, "set", judged);
  if (result == VDSET_OK) result = read_options(given, "vdset_join_options", options);
  if (result == VDSET_OK && options.buffers_max > core::slots_max)
    result =
        fail(VDSET_E_INVALID, "buffers_max %u: at most %u", options.buffers_max, core::slots_max);
  if (result != VDSET_OK) return result;
  vdset_server* const server = make_server();
  if (server == nullptr) return fail(VDSET_E_MEMORY, "server: no memory for its object");
  server->name = judged;
  server->buffers_max = options.buffers_max;
  server->area_bytes_max = options.area_bytes_max;
  const int error = library::enter(server->role);
  if (error != 0) {
    servers.put(server);
    return fail_system(error, "cannot start the library thread");
  }
  result = join(*server, options);
  if (result != VDSET_OK) {
    dispose(*server);
    return result;
  }
  server->kind.store(Kind::server, std::memory_order_release);
  *out = server;
  return VDSET_OK;
}

int32_t vdset_server_get_configuration(vdset_server* server, vdset_config* out) {
  const Visit visit(visits_of(server));
  const std::int32_t result = judge_state(server, SetState::none, SetState::terminated);
  if (result != VDSET_OK) return result;
  const port::Locked guard(server->state_lock);
  return give_config(server->state >= SetState::configurable ? server->agreed : server->terms.wish,
                     out);
}

int32_t vdset_server_begin_configuration(vdset_server* server,
                                         const vdset_base_configuration* given) {
  const Visit visit(visits_of(server));
  std::int32_t result = judge_object(server, Kind::server, "server");
  if (result != VDSET_OK) return result;
  const port::Locked turn(server->configure_lock);
  result = judge_state(server, SetState::none, SetState::none);
  if (result != VDSET_OK) return result;
  vdset_base_configuration base;
  if (given == nullptr) return fail(VDSET_E_INVALID, "base: NULL");
  result = read_options(given, "vdset_base_configuration", base);
  if (result != VDSET_OK) return result;
  core::Configuration& agreed = server->agreed;
  const core::Configuration& wish = server->terms.wish;
  const auto fault = core::judge_base(wish, base.features, base.block_bytes, base.alignment_bytes,
                                      base.max_transfer_bytes);
  if (fault != core::ConfigurationFault::none) return fail_base(fault, base);
  if (!core::are_options_sound(server->terms.options, wish.prefix_zone_bytes, base.features))
    return fail(VDSET_E_NOTSUPPORTED,
                "features 0x%x: the client made a set with data_read_only, for backup only",
                base.features);
  agreed = wish;
  agreed.features = base.features;
  agreed.block_bytes = base.block_bytes;
  agreed.alignment_bytes =
      core::agreed_alignment(wish.alignment_bytes, base.block_bytes, base.alignment_bytes);
  agreed.max_io_depth = core::io_depth_reported;
  agreed.max_transfer_bytes = base.max_transfer_bytes;
  std::uint32_t random[5];
  int error =
      port::random_bytes(gsl::span<std::byte>(reinterpret_cast<std::byte*>(random), sizeof random));
  server->geometry = {wish.device_count,
                      server->terms.queue_depth,
                      port::page_bytes(),
                      server->terms.options,
                      random[4] % core::salt_max + 1,
                      {random[0], random[1], random[2], random[3]}};
  if (error == 0) error = make_parts(*server);
  if (error != 0) {
    drop_parts(*server);
    return fail_system(error, "cannot make the set's parts");
  }
  server->words = core::SetWords<Atomics>(*server->part.header);
  server->wake.publish(reinterpret_cast<core::WakeWords*>(server->w.base));
  result = publish_parts(*server);
  if (result != VDSET_OK) {
    read_news(*server);
    if (server->aborted.load()) return fail_aborted(*server);
    abort_server(*server, VDSET_CALL_NONE, core::server_index, "the parts could not be passed",
                 result);
    return result;
  }
  if (!advance(*server, SetState::configurable)) return fail_aborted(*server);
  ring_set_bell(*server);
  return VDSET_OK;
}

int32_t vdset_server_request_buffers(vdset_server* server, uint32_t size_bytes,
                                     uint32_t alignment_bytes, uint32_t count) {
  const Visit visit(visits_of(server));
  std::int32_t result = judge_object(server, Kind::server, "server");
  if (result != VDSET_OK) return result;
  const port::Locked turn(server->configure_lock);
  result = judge_state(server, SetState::configurable, SetState::active);
  if (result == VDSET_OK) result = judge_buffers(*server, size_bytes, alignment_bytes);
  if (result != VDSET_OK) return result;
  if (count == 0) return VDSET_OK;
  const SetState state = state_of(*server);
  const port::Locked guard(server->pool_lock);
  if (state == SetState::configurable)
    return sum_request(*server, size_bytes, alignment_bytes, count);
  result = extend(*server, {size_bytes, alignment_bytes, count});
  if (result == VDSET_OK) ring_set_bell(*server);
  return result;
}

int32_t vdset_server_query_available_buffers(vdset_server* server, uint32_t size_bytes,
                                             uint32_t alignment_bytes, uint32_t* out) {
  const Visit visit(visits_of(server));
  std::int32_t result = judge_state(server, SetState::configurable, SetState::active);
  if (result == VDSET_OK) result = judge_buffers(*server, size_bytes, alignment_bytes);
  if (result == VDSET_OK && out == nullptr) result = fail(VDSET_E_INVALID, "out: NULL");
  if (result != VDSET_OK) return result;
  const SetState state = state_of(*server);
  const port::Locked guard(server->pool_lock);
  if (state > SetState::configurable) {
    *out = server->buffers.available(size_bytes, alignment_bytes);
    return VDSET_OK;
  }
  std::uint64_t room = port::memory_available();
  if (server->area_bytes_max != 0 && server->area_bytes_max < room) room = server->area_bytes_max;
  const std::uint64_t one = core::plan_pool(0, 1, size_bytes, alignment_bytes,
                                            server->agreed.prefix_zone_bytes, port::page_bytes())
                                .bytes();
  const std::uint64_t slots = core::slots_max - requested_slots(*server);
  *out = static_cast<std::uint32_t>(room / one < slots ? room / one : slots);
  return VDSET_OK;
}

int32_t vdset_server_end_configuration(vdset_server* server) {
  const Visit visit(visits_of(server));
  std::int32_t result = judge_object(server, Kind::server, "server");
  if (result != VDSET_OK) return result;
  const port::Locked turn(server->configure_lock);
  result = judge_state(server, SetState::configurable, SetState::configurable);
  if (result != VDSET_OK) return result;
  {
    const port::Locked guard(server->pool_lock);
    const std::uint32_t slots = requested_slots(*server);
    const std::uint32_t wanted = server->buffers_max != 0 ? server->buffers_max : 2 * slots;
    const std::uint32_t bits = core::HandleCodec::bits_for(wanted > slots ? wanted : slots);
    server->codec = core::HandleCodec(server->geometry.salt, bits);
    server->slots = {server->part.slots, server->codec,
                     (server->geometry.options & core::option_lease) != 0};
    const int error = make_pools(*server);
    server->request_count = 0;
    if (error != 0)
      return fail(VDSET_E_MEMORY,
                  "the requested buffers (%s%u bytes in all): %s; request fewer or smaller ones "
                  "and call again",
                  server->agreed.buffer_area_bytes == UINT32_MAX ? "at least " : "",
                  server->agreed.buffer_area_bytes, std::strerror(-error));
    server->words.write_configuration(atomics, server->agreed, bits);
    for (std::uint32_t i = 0; i < server->pools.map().count(); ++i)
      server->words.publish_pool(atomics, i, server->pools.map().plan(i));
  }
  if (!advance(*server, SetState::initializing)) return fail_aborted(*server);
  ring_set_bell(*server);
  return VDSET_OK;
}

int32_t vdset_server_allocate_buffer(vdset_server* server, uint32_t size_bytes,
                                     uint32_t alignment_bytes, void** out) {
  const Visit visit(visits_of(server));
  std::int32_t result = judge_state(server, SetState::initializing, SetState::active);
  if (result == VDSET_OK) result = judge_buffers(*server, size_bytes, alignment_bytes);
  if (result == VDSET_OK && out == nullptr) result = fail(VDSET_E_INVALID, "out: NULL");
  if (result != VDSET_OK) return result;
  const port::Locked guard(server->pool_lock);
  if (!server->buffers.fits(size_bytes, alignment_bytes))
    return fail(VDSET_E_INVALID,
                "allocate of %u bytes aligned to %u: no such buffers were requested", size_bytes,
                alignment_bytes);
  const std::uint32_t slot = server->buffers.allocate(atomics, size_bytes, alignment_bytes);
  if (slot == core::no_slot) return VDSET_E_MEMORY;  // Ordinary: wait for a completion.
  *out = server->pools.map().data(slot);
  return VDSET_OK;
}

int32_t vdset_server_free_buffer(vdset_server* server, void* buffer, uint32_t size_bytes) {
  const Visit visit(visits_of(server));
  const std::int32_t result = judge_object(server, Kind::server, "server");
  if (result != VDSET_OK) return result;
  if (state_of(*server) < SetState::initializing)
    return fail(VDSET_E_PROTOCOL, "set %s: it has no buffers yet", server->name.text);
  const port::Locked guard(server->pool_lock);
  const core::PoolMap& map = server->pools.map();
  const std::uint32_t slot = map.slot_at(buffer);
  const bool fits = slot != core::no_slot && size_bytes <= map.plan(map.pool_of(slot)).data_bytes;
  if (fits && server->buffers.release(atomics, slot)) {
    if (server->buffers.state(atomics, slot) != core::SlotState::free) readmit_freed(*server, slot);
    return VDSET_OK;
  }
  return fail(VDSET_E_INVALID,
              "free: not an allocated buffer of this size, or in a command under way");
}

int32_t vdset_server_is_shared_buffer(vdset_server* server, const void* address) {
  if (judge_object(server, Kind::server, "server") != VDSET_OK) return 0;
  return server->pools.map().contains(address) ? 1 : 0;
}

int32_t vdset_server_describe_buffer(vdset_server* server, const void* buffer, vdset_buffer* out) {
  const std::int32_t result = judge_for_handles(server);
  if (result != VDSET_OK) return result;
  return give_buffer(server->pools.map(), server->agreed.prefix_zone_bytes, false, buffer, out);
}

int32_t vdset_server_get_buffer_handle(vdset_server* server, const void* buffer, uint32_t* out) {
  const std::int32_t result = judge_for_handles(server);
  if (result != VDSET_OK) return result;
  const std::uint32_t slot = server->pools.map().slot_at(buffer);
  const std::uint32_t handle = slot != core::no_slot ? server->slots.handle_of(atomics, slot) : 0;
  if (handle == 0 || out == nullptr) return VDSET_E_INVALID;
  *out = handle;
  return VDSET_OK;
}

int32_t vdset_server_map_buffer_handle(vdset_server* server, uint32_t handle, void** out) {
  const std::int32_t result = judge_for_handles(server);
  if (result != VDSET_OK) return result;
  const core::Resolved found =
      server->slots.resolve(atomics, handle, server->pools.map().slot_total());
  if (found.refusal != core::Refusal::none || out == nullptr) return VDSET_E_INVALID;
  *out = server->pools.map().data(found.slot);
  return VDSET_OK;
}

int32_t vdset_server_signal_abort(vdset_server* server, int32_t code, const char* text) {
  const Visit visit(visits_of(server));
  const std::int32_t result = judge_object(server, Kind::server, "server");
  if (result != VDSET_OK) return result;
  abort_server(*server, VDSET_CALL_SIGNAL_ABORT, core::server_index,
               text != nullptr ? text : "SignalAbort", code);
  const port::Locked guard(library::lock());
  send_abort(*server);  // Posted when this returns, whatever becomes of this process.
  return VDSET_OK;
}

int32_t vdset_server_get_abort_reason(vdset_server* server, vdset_abort_reason* out) {
  const Visit visit(visits_of(server));
  const std::int32_t result = judge_object(server, Kind::server, "server");
  if (result != VDSET_OK) return result;
  if (!is_over(*server)) return fail(VDSET_E_PROTOCOL, "set %s: not aborted", server->name.text);
  const port::Locked guard(server->state_lock);
  return give_reason(server->abort_record, out);
}

int32_t vdset_server_get_loss(vdset_server* server, uint32_t number, vdset_loss* out) {
  const Visit visit(visits_of(server));
  const std::int32_t result = judge_object(server, Kind::server, "server");
  if (result != VDSET_OK) return result;
  const port::Locked guard(server->state_lock);
  return give_loss(server->losses, server->name.text, number, out);
}

int32_t vdset_server_close(vdset_server* server) {
  std::int32_t result = judge_object(server, Kind::server, "server");
  if (result != VDSET_OK) return result;
  Kind open = Kind::server;
  if (!server->kind.compare_exchange_strong(open, Kind::closed)) return refuse_closed("server");
  server->closing.store(true);
  bool devices_open;
  {
    const port::Locked guard(server->state_lock);
    devices_open = server->state == SetState::active && server->closed_count < server->named_count;
  }
  abort_server(*server, VDSET_CALL_CLOSE, core::server_index,
               "the server closed the set before its end", 0);
  if (server->wake != nullptr) {
    core::force_bell(atomics, server->wake->agent.event);
    port::wake_word(server->wake->agent.event);
  }
  // An agent in another thread ends everything outstanding and leaves; without one it happens here.
  visits_of(server)->drain([] {});
  for (vdset_server_device* device : server->devices) {
    if (device == nullptr) continue;
    device->kind.store(Kind::closed);
    visits_of(device)->drain([] {});
  }
  if (server->wake != nullptr) drain_server(*server);
  if (devices_open)
    result = fail(VDSET_E_PROTOCOL, "set %s: closed while devices were open", server->name.text);
  dispose(*server);
  return result;
}

}  // extern "C"
