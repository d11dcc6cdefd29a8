// abi/server_quarantine.cpp: buffers that a process had fetched which is gone. Dead: they get new
// pages. Left, but alive: they are out of use until it is dead.
#include <cerrno>
#include <cstring>
#include "abi/server.hpp"

namespace vdset {
namespace {

using core::SlotState;

/// New pages for a buffer that a dead process had: the kernel may still write into the old ones for
/// it. Under pool_lock, while nobody else uses the buffer. `keep`: what it holds is there again
/// afterwards, or the set is aborted. False: the pages could not be had.
bool renew_pages(vdset_server& server, std::uint32_t slot, bool keep) {
  // Read-only for clients and sealed: nothing writes there for them.
  if (server.clients_cannot_write) return true;
  const core::PoolMap& map = server.pools.map();
  const std::uint32_t pool = map.pool_of(slot);
  const core::PoolPlan& plan = map.plan(pool);
  const std::uint64_t stride = std::uint64_t{plan.stride_lines} * core::line_bytes;
  void* const copy = keep ? allocate(plan.data_bytes) : nullptr;
  if (keep && copy == nullptr) return false;
  if (copy != nullptr) std::memcpy(copy, map.data(slot), plan.data_bytes);
  const int descriptor = server.pools.descriptor(pool);
  const std::uint64_t at = (slot - plan.first_slot) * stride;
  const bool renewed = port::memory_renew(descriptor, at, stride) == 0;
  // Also after a failure: the pages may be cleared, and zeros must never pass for what was there.
  const bool kept = copy == nullptr ||
                    port::memory_write(descriptor, at + plan.data_offset,
                                       {static_cast<std::byte*>(copy), plan.data_bytes}) == 0;
  release(copy);
  if (!kept)
    abort_server(server, VDSET_CALL_NONE, core::server_index,
                 "no memory to keep what a buffer of a process that ended holds", 0);
  return renewed && kept;
}

}  // namespace

bool renew_buffers(vdset_server& server, vdset_server_device& device) {
  bool renewed = true;
  device.device.for_each_held(atomics, [&](std::uint32_t opcode, std::uint32_t handle) {
    if (handle == 0) return;
    const std::uint32_t slot = server.codec.slot(handle);
    const port::Locked guard(server.pool_lock);
    if (renew_pages(server, slot, opcode == core::opcode_write)) return;
    server.buffers.quarantine(atomics, slot, core::nobody);
    renewed = false;
  });
  return renewed;
}

bool quarantine_failed(vdset_server& server, vdset_server_device& device, std::uint32_t first) {
  bool any = false;
  const port::Locked guard(server.pool_lock);
  for (std::uint32_t i = first; i < device.swept.count; ++i) {
    if (device.swept.items[i].result.code != core::code_operation_aborted) continue;
    any = true;
    const auto& pending = *static_cast<vdset_server_device::Pending*>(device.swept.items[i].cookie);
    if (pending.slot != core::no_slot)
      server.buffers.quarantine(atomics, pending.slot, device.consumer);
  }
  return any;
}

void readmit_freed(vdset_server& server, std::uint32_t slot) {
  if (server.buffers.wants_pages(atomics, slot, SlotState::free) &&
      renew_pages(server, slot, false))
    server.buffers.readmit(atomics, slot);
}

void end_quarantine(vdset_server& server, std::uint32_t participant) {
  const port::Locked guard(server.pool_lock);
  server.buffers.forget_holder(atomics, participant);
  for (std::uint32_t slot = 0; slot < server.pools.map().slot_total(); ++slot)
    readmit_freed(server, slot);
}

bool lend_again(vdset_server& server, std::uint32_t slot, std::uint32_t opcode,
                std::uint32_t participant) {
  const bool keep = opcode != core::opcode_read;
  const port::Locked guard(server.pool_lock);
  if (!server.buffers.wants_pages(atomics, slot, SlotState::live) ||
      !renew_pages(server, slot, keep))
    return false;
  server.buffers.readmit(atomics, slot);
  return server.buffers.lend(atomics, slot, participant);
}

}  // namespace vdset
