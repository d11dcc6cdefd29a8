// abi/device.cpp: the client's data path: OpenDevice, GetCommand, CompleteCommand, buffer handles.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include "abi/error.hpp"
#include "abi/set.hpp"

namespace vdset {
namespace {

constexpr std::int64_t name_wait_ns = 10'000'000'000;
constexpr std::int64_t answer_wait_ns = 50'000'000;
constexpr unsigned skips_max = 8;

Recycler<vdset_device> devices;

/// Enters a device into the set. False: this process has it already, and nobody gets one twice.
bool add_device(vdset_set& set, vdset_device& device) {
  const port::Locked guard(set.lock);
  for (std::uint32_t i = 0; i < set.device_count; ++i)
    if (set.devices[i]->index == device.index) return false;
  set.devices[set.device_count++] = &device;
  device.kind.store(Kind::device, std::memory_order_release);
  return true;
}

bool has_device(vdset_set& set, const Name& name) {
  const port::Locked guard(set.lock);
  return std::any_of(set.devices, set.devices + set.device_count,
                     [&](const vdset_device* device) { return device->name == name; });
}

/// Makes the object of a granted device.
std::int32_t make_device(vdset_set& set, const Name& name, const Message& grant, Descriptors& parts,
                         vdset_device*& out) {
  if (grant.a >= set.geometry.device_count)
    return fail(VDSET_E_UNEXPECTED, "device %s: the server granted number %u of %u", name.text,
                grant.a, set.geometry.device_count);
  vdset_device* const device = devices.get();
  if (device == nullptr)
    return fail(VDSET_E_MEMORY, "device %s: no memory for its object", name.text);
  int descriptor = parts.take(0);
  int error = port::memory_judge(descriptor, set.geometry.c_bytes(), port::Seal::fixed_size);
  if (error == 0) error = port::memory_map(descriptor, set.geometry.c_bytes(), true, device->c);
  port::close_descriptor(descriptor);
  if (error != 0) {
    devices.put(device);
    return fail_system(error, "cannot map the device's part");
  }
  device->set = &set;
  device->index = grant.a;
  device->name = name;
  const core::ClientPart part = core::client_part(device->c.span(), set.geometry);
  device->ring = {set.view.ring(grant.a), part.lines, *part.header, set.me, grant.c};
  device->ring.watch_pools(set.view.header->pool_count);
  device->ring.know_pools(set.pools.map().count());
  out = device;
  return VDSET_OK;
}

/// One question to the server. OK with *out; BUSY inside means "not yet named".
std::int32_t ask_for_device(vdset_set& set, const Name& name, vdset_device** out) {
  const port::Locked turn(set.open_lock);
  Message question, answer;
  Descriptors parts;
  question.kind = MessageKind::open_device;
  // A grant that came and could not be taken is to be repeated.
  question.a = has_device(set, name) ? 0 : 1;
  question.set_text(name.text, name.bytes);
  std::int32_t result = ask(set, question, answer, parts);
  if (result != VDSET_OK) return result;
  if (answer.kind != MessageKind::grant) return poison(set, "an answer of the wrong kind");
  if (answer.result != VDSET_OK)
    return fail(known_code(answer.result), "device %s: %.*s", name.text,
                static_cast<int>(answer.text_bytes), answer.text);
  vdset_device* device = nullptr;
  result = make_device(set, name, answer, parts, device);
  if (result == VDSET_E_MEMORY) return result;  // Asked again, the server grants it again.
  if (result != VDSET_OK) {
    // The server counts it as this process's: nobody else could ever open it.
    abort_set(set, VDSET_CALL_NONE, set.me, "a granted device could not be mapped", result);
    return result;
  }
  if (!add_device(set, *device)) {
    put_device(*device);
    return poison(set, "a device granted a second time");
  }
  *out = device;
  return VDSET_OK;
}

/// Builds the private copy of a fetched command. False: it names a buffer that cannot be.
bool fill_command(vdset_set& set, const core::Taken& taken, vdset_command& out) {
  const core::Submission& s = taken.command;
  out = {};
  out.struct_bytes = sizeof out;
  out.code = core::command_code(s.opcode);
  out.size = static_cast<std::int32_t>(s.size);
  out.flags = taken.redelivered ? VDSET_COMMAND_REDELIVERED : 0;
  out.position = static_cast<std::int64_t>(s.position);
  if (s.opcode != out.code && s.opcode != core::opcode_opens_gate) return false;
  const bool fills = s.opcode == core::opcode_read;
  if (fills && (set.geometry.options & core::option_data_read_only) != 0) return false;
  if (s.handle == 0) return !core::moves_data(s.opcode);
  const core::PoolMap& map = set.pools.map();
  const std::uint32_t slot = set.codec.slot(s.handle);
  if (!set.codec.has_salt(s.handle) || slot >= map.slot_total()) return false;
  // Whatever the command is: who gets a buffer and a size may touch that much of it.
  if (s.size > map.plan(map.pool_of(slot)).data_bytes) return false;
  out.buffer = map.data(slot);
  out.buffer_handle = s.handle;
  return true;
}

std::int32_t deliver(vdset_device& device, const core::Taken& taken, const vdset_command** out) {
  vdset_device::Fetched& copy = device.fetched[2 * taken.line + (taken.lap & 1)];
  if (!fill_command(*device.set, taken, copy.command))
    return poison(*device.set, "a command names a buffer that cannot be");
  copy.lap = taken.lap;
  copy.opcode = taken.command.opcode;
  *out = &copy.command;
  return VDSET_OK;
}

/// One attempt to fetch: OK, TIMEOUT (nothing there), or an end.
std::int32_t try_fetch(vdset_device& device, Timeout& timeout, const vdset_command** out) {
  vdset_set& set = *device.set;
  core::Taken taken;
  for (unsigned skips = 0;;) {
    if (is_over(set)) return fail_aborted(set);
    switch (device.ring.take(atomics, taken)) {
      case core::Take::got: return deliver(device, taken, out);
      case core::Take::again:
        // One round skips all that an honest server can have recalled.
        if (++skips < skips_max) continue;
        return poison(set, "a ring in S that never ends");
      case core::Take::empty: return VDSET_E_TIMEOUT;
      case core::Take::evicted:
        if (set.closing.load()) return VDSET_E_NOTOPEN;  // This process's own Close.
        return fail(VDSET_E_ABORT, "device %s: the server took this process for gone",
                    device.name.text);
      case core::Take::need_pool: {
        // A poll gives the server a moment, so that polling alone gets there.
        const std::int64_t least = port::now_ns() + answer_wait_ns;
        const std::int32_t result = sync_pools(set, std::max(timeout.at_ns(), least));
        if (result != VDSET_OK) return result;
        device.ring.know_pools(set.pools.map().count());
      }
    }
  }
}

/// The whole of GetCommand, by the one thread that is in it.
std::int32_t fetch(vdset_device& device, std::int64_t timeout_ns, const vdset_command** out) {
  vdset_set& set = *device.set;
  Timeout timeout(timeout_ns);
  for (;;) {
    if (device.closed.load(std::memory_order_relaxed)) return VDSET_E_CLOSE;
    // CLOSED is stored after the last command: seen first, the ring is read once more.
    const bool closed = is_closed_by_server(device);
    const std::int32_t result = try_fetch(device, timeout, out);
    if (result != VDSET_E_TIMEOUT) return result;
    if (closed) {
      device.closed.store(true);
      return VDSET_E_CLOSE;
    }
    if (device.interrupted.exchange(false)) return VDSET_E_INTERRUPTED;
    if (set.closing.load()) return VDSET_E_NOTOPEN;
    if (timeout.is_over()) return VDSET_E_TIMEOUT;
    const auto ready = [&] {
      return device.ring.ready(atomics) || is_over(set) || is_closed_by_server(device) ||
             device.interrupted.load(std::memory_order_relaxed) ||
             set.closing.load(std::memory_order_relaxed);
    };
    ask_if_wanted(device);
    const bool woken = wait_on_bell(set.wake->devices[device.index].event, set.alive,
                                    slice_end(timeout.at_ns()), device.spin, ready);
    // Once a slice, for a server that never enlisted the alive word, or ended without closing.
    if (!woken && is_deserted(set) && !is_closed_by_server(device))
      abort_set(set, VDSET_CALL_LEFT, core::server_index, "the server let go of its socket", 0);
  }
}

}  // namespace

bool is_closed_by_server(const vdset_device& device) {
  const core::Word& word = device.set->view.rows[device.index].device;
  return core::DeviceWord::unpack(atomics.load<core::Site::device_read>(word)).state ==
         core::DeviceState::closed;
}

void put_device(vdset_device& device) {
  device.kind.store(Kind::closed);
  device.wake_end.close();
  port::memory_unmap(device.c);
  devices.put(&device);
}

std::int32_t refuse_turn(vdset_device* device) {
  const Visit visit(visits_of(device));
  const std::int32_t result = judge_object(device, Kind::device, "device");
  if (result != VDSET_OK) return result;
  return fail(VDSET_E_BUSY, "device %s: another thread is in get_command", device->name.text);
}

[[gnu::noinline]] static void wake_agent(vdset_device& device, core::Word& bell,
                                         std::uint32_t armed) {
  if (armed == core::event_descriptor) want_wakes(device);  // Its server waits in an event loop.
  wake_waiter(bell, armed, device.wake_end);
}

/// Handles need the configuration; PROTOCOL before it.
static std::int32_t judge_for_handles(vdset_set* set) {
  const std::int32_t result = judge_object(set, Kind::set, "set");
  if (result != VDSET_OK || set->configured.load(std::memory_order_acquire)) return result;
  if (set->wake == nullptr)
    return fail(VDSET_E_PROTOCOL, "set %s: not configured yet", set->name.text);
  return sync_pools(*set);
}

/// What all but the first calls find, so that those need nothing else.
static bool is_ready_for_handles(const vdset_set* set) {
  return set != nullptr && set->kind.load() == Kind::set &&
         set->configured.load(std::memory_order_acquire);
}

[[gnu::always_inline]] static inline core::Resolved resolve(vdset_set& set, std::uint32_t handle,
                                                            const core::PoolMap& map) {
  return set.slots.resolve(atomics, handle, map.slot_total());
}

/// Also of pools that were added since and are to be mapped now.
static core::Resolved resolve_anew(vdset_set& set, std::uint32_t handle) {
  const core::Resolved found = resolve(set, handle, set.pools.map());
  if (found.refusal != core::Refusal::out_of_range ||
      atomics.load<core::Site::pool_read>(set.view.header->pool_count) <= set.pools.map().count() ||
      sync_pools(set) != VDSET_OK)
    return found;
  return resolve(set, handle, set.pools.map());
}

static std::int32_t give_address(const core::PoolMap& map, core::Resolved found, void** out) {
  if (found.refusal != core::Refusal::none || out == nullptr) return VDSET_E_INVALID;
  *out = map.data(found.slot);
  return VDSET_OK;
}

[[gnu::noinline]] static std::int32_t map_anew(vdset_set* set, std::uint32_t handle, void** out) {
  const std::int32_t result = judge_for_handles(set);
  if (result != VDSET_OK) return result;
  const core::Resolved found = resolve_anew(*set, handle);
  return give_address(set->pools.map(), found, out);
}

}  // namespace vdset

using namespace vdset;

extern "C" {

int32_t vdset_set_open_device(vdset_set* set, const char* name, vdset_device** out) {
  const Visit visit(visits_of(set));
  std::int32_t result = judge_object(set, Kind::set, "set");
  if (result != VDSET_OK) return result;
  if (out == nullptr) return fail(VDSET_E_INVALID, "out: NULL");
  *out = nullptr;
  Name judged;
  result = judge_name(name, "device", judged);
  if (result != VDSET_OK) return result;
  if (is_over(*set)) return fail_aborted(*set);
  if (set->wake == nullptr) read_news(*set);
  if (set->wake == nullptr)
    return fail(VDSET_E_PROTOCOL,
                "set %s: no server has configured it; get the configuration first", set->name.text);
  result = sync_pools(*set);
  if (result != VDSET_OK) return result;
  const std::int64_t deadline = port::deadline_after(name_wait_ns);
  for (WakeGuard guard;;) {
    // Before the question: a name that comes after the answer changes the bell.
    const std::uint32_t seen = core::watch_bell(atomics, set->wake->set.event);
    result = ask_for_device(*set, judged, out);
    if (result != VDSET_E_BUSY) return result;
    if (set->closing.load())
      return fail(VDSET_E_NOTOPEN, "set %s: closed meanwhile", set->name.text);
    if (port::now_ns() >= deadline)
      return fail(VDSET_E_TIMEOUT, "device %s: the server has not named it in 10 s", judged.text);
    guard.note(sleep_slice(set->wake->set.event, seen, set->alive, deadline), deadline);
    if (is_over(*set)) return fail_aborted(*set);
  }
}

int32_t vdset_device_get_command(vdset_device* device, int64_t timeout_ns,
                                 const vdset_command** out) {
  const Turn turn(visits_of(device));
  if (!turn.mine()) return refuse_turn(device);
  const std::int32_t result = judge_object(device, Kind::device, "device");
  if (result != VDSET_OK) return result;
  if (out == nullptr) return fail(VDSET_E_INVALID, "out: NULL");
  if (timeout_ns != 0 && is_armed(device->pollable)) disarm_pollable(device->pollable);
  const std::int32_t fetched = fetch(*device, timeout_ns, out);
  if (fetched == VDSET_OK && is_polled(device->pollable)) {
    device->wake_end.note_use();
    if (is_armed(device->pollable)) disarm_pollable(device->pollable);
  }
  return fetched;
}

int32_t vdset_device_complete_command(vdset_device* device, const vdset_command* command,
                                      int32_t completion_code, uint32_t bytes, int64_t position) {
  const Visit visit(visits_of(device));
  const std::int32_t result = judge_object(device, Kind::device, "device");
  if (result != VDSET_OK) return result;
  vdset_set& set = *device->set;
  const auto offset =
      reinterpret_cast<std::uintptr_t>(command) - reinterpret_cast<std::uintptr_t>(device->fetched);
  const std::size_t index = offset / sizeof(vdset_device::Fetched);
  if (index >= 2 * set.geometry.queue_depth || offset % sizeof(vdset_device::Fetched) != 0)
    return fail(VDSET_E_INVALID, "device %s: not a command that its get_command gave",
                device->name.text);
  if (set.aborted.load(std::memory_order_relaxed) != 0 ||
      core::abort_requested(atomics, *set.wake) != 0) {
    is_over(set);
    return fail_aborted(set);
  }
  const vdset_device::Fetched& copy = device->fetched[index];
  const core::Completion completion{static_cast<std::uint32_t>(completion_code),
                                    core::moves_data(copy.opcode) ? bytes : 0,
                                    static_cast<std::uint64_t>(position)};
  switch (device->ring.complete(atomics, static_cast<std::uint32_t>(index / 2), copy.lap,
                                copy.opcode, completion)) {
    case core::Completed::not_active:
      return fail(VDSET_E_INVALID, "device %s: the command is not active; it was completed already",
                  device->name.text);
    case core::Completed::evicted:
      return fail(VDSET_E_ABORT, "device %s: the server took this process for gone",
                  device->name.text);
    case core::Completed::done: break;
  }
  core::Word& bell = set.wake->agent.event;
  const std::uint32_t armed = core::ring_bell(atomics, bell);
  if (armed != 0) wake_agent(*device, bell, armed);
  return VDSET_OK;
}

int32_t vdset_device_interrupt(vdset_device* device) {
  const Visit visit(visits_of(device));
  const std::int32_t result = judge_object(device, Kind::device, "device");
  if (result != VDSET_OK) return result;
  device->interrupted.store(true);
  core::Word& bell = device->set->wake->devices[device->index].event;
  core::force_bell(atomics, bell);
  port::wake_word(bell);
  return VDSET_OK;
}

int32_t vdset_set_get_buffer_handle(vdset_set* set, const void* buffer, uint32_t* out) {
  if (!is_ready_for_handles(set)) {
    const std::int32_t result = judge_for_handles(set);
    if (result != VDSET_OK) return result;
  }
  const std::uint32_t slot = set->pools.map().slot_at(buffer);
  const std::uint32_t handle = slot != core::no_slot ? set->slots.handle_of(atomics, slot) : 0;
  if (handle == 0 || out == nullptr) return VDSET_E_INVALID;
  *out = handle;
  return VDSET_OK;
}

int32_t vdset_set_describe_buffer(vdset_set* set, const void* buffer, vdset_buffer* out) {
  const std::int32_t result = judge_for_handles(set);
  if (result != VDSET_OK) return result;
  const bool read_only = (set->geometry.options & core::option_data_read_only) != 0;
  return give_buffer(set->pools.map(), set->agreed.prefix_zone_bytes, read_only, buffer, out);
}

int32_t vdset_set_map_buffer_handle(vdset_set* set, uint32_t handle, void** out) {
  if (!is_ready_for_handles(set)) return map_anew(set, handle, out);
  const core::PoolMap& map = set->pools.map();
  const core::Resolved found = resolve(*set, handle, map);
  if (found.refusal == core::Refusal::out_of_range) return map_anew(set, handle, out);
  return give_address(map, found, out);
}

int32_t vdset_set_explain_handle(vdset_set* set, uint32_t handle, char* text, uint32_t text_bytes) {
  const std::int32_t result = judge_for_handles(set);
  if (result != VDSET_OK) return result;
  if (text == nullptr || text_bytes == 0) return fail(VDSET_E_INVALID, "text: NULL or no room");
  static const char* const words[] = {"resolves",
                                      "0 is no handle",
                                      "made by another set (or forged)",
                                      "its buffer number is above the set's buffers",
                                      "stale: the buffer was freed or completed since",
                                      "its buffer is not lent to a command now",
                                      "not the start of a buffer's data"};
  const core::Refusal refusal = resolve_anew(*set, handle).refusal;
  std::snprintf(text, text_bytes, "handle 0x%08x: %s", handle,
                words[static_cast<std::size_t>(refusal)]);
  return refusal == core::Refusal::none ? VDSET_OK : VDSET_E_INVALID;
}

}  // extern "C"
