// abi/options.cpp: what crosses the C boundary by struct: objects judged, options copied in,
// results copied out.
#include <cstring>
#include "abi/error.hpp"
#include "abi/set.hpp"

namespace vdset {

void refuse_null(const char* what) {
  fail(VDSET_E_INVALID, "%s: NULL", what);
}

std::int32_t refuse_closed(const char* what) {
  return fail(VDSET_E_NOTOPEN,
              "%s: closed, or made by the process before a fork; open one of your own", what);
}

std::int32_t copy_options(const void* from, const char* what, void* out, std::size_t bytes) {
  std::uint32_t given;
  std::memcpy(&given, from, sizeof given);
  if (given < sizeof given || given > 4096)
    return fail(VDSET_E_INVALID, "%s: struct_bytes is %u; set it to sizeof(struct %s)", what, given,
                what);
  const auto* const at = static_cast<const unsigned char*>(from);
  for (std::size_t i = bytes; i < given; ++i)
    if (at[i] != 0)
      return fail(VDSET_E_INVALID, "%s: byte %zu is set, and this library is too old to know it",
                  what, i);
  std::memcpy(out, from, given < bytes ? given : bytes);
  return VDSET_OK;
}

static void write_config(const core::Configuration& c, vdset_config& out) {
  out = {sizeof out,          c.device_count,       c.features,
         c.prefix_zone_bytes, c.alignment_bytes,    c.soft_file_mark_block_bytes,
         c.eom_warning_bytes, c.server_timeout_ms,  c.block_bytes,
         c.max_io_depth,      c.max_transfer_bytes, c.buffer_area_bytes};
}

static void write_reason(const core::AbortRecord& r, vdset_abort_reason& out) {
  out.struct_bytes = sizeof out;
  out.role = r.role;
  out.pid = r.pid;
  out.call = r.call;
  out.code = static_cast<std::int32_t>(r.code);
  const std::size_t bytes = r.text_bytes < sizeof out.text - 1 ? r.text_bytes : sizeof out.text - 1;
  std::memset(out.text, 0, sizeof out.text);
  std::memcpy(out.text, r.text, bytes);
}

/// Fills a struct of results that the caller sized: all it has room for.
template <class T>
static std::int32_t give(const T& from, T* out, const char* what) {
  if (out == nullptr) return fail(VDSET_E_INVALID, "%s: NULL", what);
  const std::uint32_t room = out->struct_bytes;
  if (room < sizeof room) return fail(VDSET_E_INVALID, "%s: set struct_bytes to its size", what);
  if (room >= sizeof from) {  // Field by field: a copy through memory takes longer than the rest.
    *out = from;
    out->struct_bytes = room;
  } else {
    std::memcpy(reinterpret_cast<char*>(out) + sizeof room,
                reinterpret_cast<const char*>(&from) + sizeof room, room - sizeof room);
  }
  return VDSET_OK;
}
std::int32_t give_config(const core::Configuration& c, vdset_config* out) {
  vdset_config full;
  write_config(c, full);
  return give(full, out, "vdset_config");
}
std::int32_t give_reason(const core::AbortRecord& r, vdset_abort_reason* out) {
  vdset_abort_reason full{};
  write_reason(r, full);
  return give(full, out, "vdset_abort_reason");
}
std::int32_t give_buffer(const core::PoolMap& map, std::uint32_t prefix_bytes, bool read_only,
                         const void* buffer, vdset_buffer* out) {
  const std::uint32_t slot = map.slot_at(buffer);
  if (slot == core::no_slot)
    return fail(VDSET_E_INVALID, "buffer: not the data start of a buffer of this set");
  const std::uint32_t data_bytes = map.plan(map.pool_of(slot)).data_bytes;
  const vdset_buffer full{sizeof(vdset_buffer), slot, data_bytes, prefix_bytes,
                          read_only ? 1u : 0u};
  return give(full, out, "vdset_buffer");
}

std::int32_t give_loss(const Losses& losses, const char* set_name, std::uint32_t number,
                       vdset_loss* out) {
  if (out == nullptr) return fail(VDSET_E_INVALID, "vdset_loss: NULL");
  if (losses.count == 0)
    return fail(VDSET_E_PROTOCOL, "set %s: no secondary has been lost", set_name);
  const vdset_loss* const found = losses.find(number);
  if (found == nullptr)
    return fail(VDSET_E_INVALID, "loss %u: there have been %u, the latest %u are remembered",
                number, losses.count, VDSET_LOSSES_KEPT);
  vdset_loss full = *found;
  full.count = losses.count;
  return give(full, out, "vdset_loss");
}

}  // namespace vdset
