// abi/server_device.cpp: OpenDevice, SendCommand, CloseDevice.
#include <cstring>
#include "abi/error.hpp"
#include "abi/server.hpp"

namespace vdset {
namespace {

/// The callback that a failed SendCommand owes, on the sender's thread (VDI 8.2).
std::int32_t fail_send(vdset_command& command, std::int32_t result, std::int32_t code,
                       const char* why) {
  command.completion_code = code;
  command.bytes_transferred = 0;
  command.out_position = 0;
  if (command.completion != nullptr) command.completion(&command, command.context);
  return fail(result, "send: %s", why);
}

/// Judges what the engine asks; finds the buffer's slot. INVALID: nothing happened, no callback.
std::int32_t judge_command(vdset_server& server, const vdset_command& command,
                           std::uint32_t& slot) {
  slot = core::no_slot;
  if (command.struct_bytes < sizeof(vdset_command))
    return fail(VDSET_E_INVALID, "send: struct_bytes is %u; set it to sizeof(struct vdset_command)",
                command.struct_bytes);
  if (command.code < 1 || command.code > 0xffff)
    return fail(VDSET_E_INVALID, "send: code %u is no VDI command", command.code);
  if (command.buffer != nullptr) {
    slot = server.pools.map().slot_at(command.buffer);
    if (slot == core::no_slot)
      return fail(VDSET_E_INVALID, "send: buffer is not the data start of a buffer of this set");
  }
  const core::PoolMap& map = server.pools.map();
  const auto size = static_cast<std::uint32_t>(command.size);
  if (!core::moves_data(command.code)) {
    if (slot != core::no_slot && size > map.plan(map.pool_of(slot)).data_bytes)
      return fail(VDSET_E_INVALID, "send: size %d does not fit the buffer", command.size);
    return VDSET_OK;
  }
  if (slot == core::no_slot)
    return fail(VDSET_E_INVALID, "send: Read and Write need a buffer from allocate_buffer");
  if (command.code == VDSET_COMMAND_READ &&
      (server.geometry.options & core::option_data_read_only) != 0)
    return fail(VDSET_E_INVALID, "send: a Read, but the set's clients map its buffers read-only");
  if (command.size <= 0 || size > server.agreed.max_transfer_bytes ||
      size > map.plan(map.pool_of(slot)).data_bytes || size % server.agreed.block_bytes != 0)
    return fail(VDSET_E_INVALID,
                "send: size %d must be a multiple of %u, at most %u, and fit the buffer",
                command.size, server.agreed.block_bytes, server.agreed.max_transfer_bytes);
  return VDSET_OK;
}

/// Queues under the device's lock; the buffer is lent, or not on failure.
core::Sent queue(vdset_server_device& device, vdset_command& command, std::uint32_t slot,
                 bool& bad_buffer, bool& over) {
  vdset_server& server = *device.server;
  const port::Locked guard(device.lock);
  // Before the command can be seen: who completes it then wakes an agent that looks here. One too
  // many is taken away by the agent.
  mark_outstanding(server, device.index);
  // Again, under the lock that the agent's last look takes: later nobody would call back.
  over = server.aborted.load() || server.closing.load();
  if (over) return core::Sent::closed;
  // Room in one agent step for what a sweep left and what is under way.
  if (device.swept.count + device.device.outstanding_count() >= core::finished_max - 1)
    return core::Sent::queue_full;
  std::uint32_t handle = 0;
  if (slot != core::no_slot) {
    bad_buffer = !server.buffers.lend(atomics, slot, device.consumer) &&
                 !lend_again(server, slot, command.code, device.consumer);
    if (bad_buffer) return core::Sent::closed;
    handle = server.codec.encode(slot, server.buffers.generation(atomics, slot));
  }
  const std::uint32_t cookie = device.pending_free;
  auto& pending = device.pending[cookie];
  const core::Submission submission{command.code, handle, static_cast<std::uint32_t>(command.size),
                                    static_cast<std::uint64_t>(command.position)};
  const std::uint32_t next_free = pending.next_free;
  pending.command = &command;
  pending.slot = slot;
  const core::Sent sent = device.device.send(atomics, submission, &pending);
  if (sent == core::Sent::queued || sent == core::Sent::held) {
    device.pending_free = next_free;
  } else if (slot != core::no_slot) {
    server.buffers.take_back(atomics, slot);
  }
  return sent;
}

std::int32_t name_device(vdset_server& server, const Name& name, vdset_server_device** out) {
  const port::Locked state(server.state_lock);
  if (server.named_count == server.geometry.device_count)
    return fail(VDSET_E_OPEN, "device %s: all %u devices are open", name.text,
                server.geometry.device_count);
  if (server.named_count == 0 && !(name == server.name))
    return fail(VDSET_E_INVALID, "device %s: the first device has the set's name, %s", name.text,
                server.name.text);
  for (std::uint32_t i = 0; i < server.named_count; ++i)
    if (server.devices[i]->name == name)
      return fail(VDSET_E_INVALID, "device %s: the name is taken in this set", name.text);
  *out = server.devices[server.named_count++];
  (*out)->name = name;  // In one step: another thread may ask for the same name.
  return VDSET_OK;
}

}  // namespace
}  // namespace vdset

using namespace vdset;

extern "C" {

int32_t vdset_server_open_device(vdset_server* server, const char* name,
                                 vdset_server_device** out) {
  const Visit visit(visits_of(server));
  std::int32_t result = judge_object(server, Kind::server, "server");
  if (result != VDSET_OK) return result;
  if (out == nullptr) return fail(VDSET_E_INVALID, "out: NULL");
  if (is_over(*server)) return fail_aborted(*server);
  const core::SetState state = state_of(*server);
  if (state != core::SetState::initializing && state != core::SetState::active)
    return fail(VDSET_E_PROTOCOL, "set %s: end the configuration before opening devices",
                server->name.text);
  Name judged;
  result = judge_name(name, "device", judged);
  vdset_server_device* device = nullptr;
  if (result == VDSET_OK) result = name_device(*server, judged, &device);
  if (result != VDSET_OK) return result;
  {
    const port::Locked guard(device->lock);
    device->state = core::DeviceState::named;
    core::DeviceRow& row = server->part.rows[device->index];
    core::write_text(atomics, row.name, gsl::span<const char>(judged.text, judged.bytes));
    atomics.store<core::Site::fields_write>(row.name_bytes, judged.bytes);
    core::publish_device(atomics, row, {device->state, core::nobody, device->epoch});
  }
  device->kind.store(Kind::server_device, std::memory_order_release);
  if (!advance(*server, core::SetState::active)) return fail_aborted(*server);
  ring_set_bell(*server);
  *out = device;
  return VDSET_OK;
}

int32_t vdset_server_device_send_command(vdset_server_device* device, vdset_command* command) {
  const Visit visit(visits_of(device));
  std::int32_t result = judge_object(device, Kind::server_device, "device");
  if (result != VDSET_OK) return result;
  if (command == nullptr) return fail(VDSET_E_INVALID, "command: NULL");
  vdset_server& server = *device->server;
  std::uint32_t slot;
  result = judge_command(server, *command, slot);
  if (result != VDSET_OK) return result;
  if (is_over(server))
    return fail_send(*command, VDSET_E_ABORT, VDSET_ERROR_OPERATION_ABORTED, "the set was aborted");
  bool bad_buffer = false;
  bool over = false;
  const core::Sent sent = queue(*device, *command, slot, bad_buffer, over);
  if (over)
    return fail_send(*command, VDSET_E_ABORT, VDSET_ERROR_OPERATION_ABORTED, "the set is over");
  if (bad_buffer)
    return fail(
        VDSET_E_INVALID,
        "send: the buffer was freed, is in another command, or is still with a process that "
        "left; use another one");
  switch (sent) {
    case core::Sent::queue_full:
      return fail_send(*command, VDSET_E_QUEUE_FULL, VDSET_ERROR_NO_SYSTEM_RESOURCES,
                       "the device's ring is full; wait for a completion");
    case core::Sent::io_error:
      return fail_send(*command, VDSET_E_IO_ERROR, VDSET_ERROR_IO_DEVICE,
                       "the device is in IO-ERROR; send ClearError");
    case core::Sent::closed:
      return fail_send(*command, VDSET_E_PROTOCOL, VDSET_ERROR_INVALID_HANDLE,
                       "the device is closed");
    case core::Sent::held: return VDSET_OK;
    case core::Sent::queued: break;
  }
  core::Word& bell = server.wake->devices[device->index].event;
  const std::uint32_t armed = core::ring_bell(atomics, bell);
  if (armed != 0) wake_waiter(bell, armed, device->wake_end);
  return VDSET_OK;
}

int32_t vdset_server_device_close(vdset_server_device* device) {
  const Visit visit(visits_of(device));
  const std::int32_t result = judge_object(device, Kind::server_device, "device");
  if (result != VDSET_OK) return result;
  vdset_server& server = *device->server;
  if (is_over(server)) return fail_aborted(server);
  {
    const port::Locked guard(device->lock);
    if (device->state == core::DeviceState::closed)
      return fail(VDSET_E_CLOSE, "device %s: closed already", device->name.text);
    device->state = core::DeviceState::closed;
    device->device.close();
    // Its consumer is gone and nobody may open it again: what is under way ends here.
    if (device->consumer == core::nobody && device->epoch > 0)
      device->device.abandon(device->swept);
    // In one step for whoever aborts: a client that hears CLOSE on the last device may close at
    // once, and that is no abort any more.
    const port::Locked state(server.state_lock);
    core::publish_device(atomics, server.part.rows[device->index],
                         {device->state, device->consumer, device->epoch});
    const bool last = ++server.closed_count == server.geometry.device_count;
    if (last && server.state != core::SetState::aborted) {
      server.state = core::SetState::terminated;
      server.words.publish_state(atomics, server.state);
    }
  }
  ring_device_bell(server, device->index);
  ring_set_bell(server);
  core::force_bell(atomics, server.wake->agent.event);
  port::wake_word(server.wake->agent.event);
  return VDSET_OK;
}

int32_t vdset_server_device_outstanding(vdset_server_device* device, uint32_t* out) {
  const Visit visit(visits_of(device));
  const std::int32_t result = judge_object(device, Kind::server_device, "device");
  if (result != VDSET_OK) return result;
  if (out == nullptr) return fail(VDSET_E_INVALID, "out: NULL");
  const port::Locked guard(device->lock);
  *out = device->device.outstanding_count() + device->swept.count;
  return VDSET_OK;
}

}  // extern "C"
