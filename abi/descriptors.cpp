// abi/descriptors.cpp: pollable descriptors of a client's sets and devices. The server's is in
// server_agent.cpp, beside what it waits for.
#include "abi/error.hpp"
#include "abi/set.hpp"

namespace vdset {
namespace {

const BridgeOwner owner_of(vdset_set& set) {
  return {&set,
          [](void* of) -> const core::Word* {
            const auto& at = *static_cast<vdset_set*>(of);
            return at.wake != nullptr ? at.alive : nullptr;
          },
          [](void* of) { return is_over(*static_cast<vdset_set*>(of)); }};
}

/// Before the parts are there the library thread wakes through a word of this process.
const core::Word& set_word(void* of) {
  const auto& set = *static_cast<vdset_set*>(of);
  return set.wake == nullptr ? set.phase : set.wake->set.event;
}

/// Configured, if this process did not know when it armed; an end, always.
bool set_ready(void* of) {
  auto& set = *static_cast<vdset_set*>(of);
  if (is_over(set) || set.closing.load(std::memory_order_relaxed)) return true;
  return set.wake != nullptr && set.armed_for_configuration &&
         core::read_state(atomics, *set.view.header) >= core::SetState::initializing;
}

/// Another call may take the configuration in before the bridge looks.
void note_configuration(void* of) {
  auto& set = *static_cast<vdset_set*>(of);
  set.armed_for_configuration = !set.configured.load(std::memory_order_acquire);
}

const core::Word& device_word(void* of) {
  const auto& device = *static_cast<vdset_device*>(of);
  return device.set->wake->devices[device.index].event;
}

/// As the wait in get_command; on a copy of the ring, since the consumer may be in get_command.
bool device_ready(void* of) {
  auto& device = *static_cast<vdset_device*>(of);
  return device.armed_ring.ready(atomics) || is_over(*device.set) || is_closed_by_server(device) ||
         device.interrupted.load(std::memory_order_relaxed) ||
         device.set->closing.load(std::memory_order_relaxed);
}

void copy_ring(void* of) {
  auto& device = *static_cast<vdset_device*>(of);
  device.armed_ring = device.ring;
}

}  // namespace
}  // namespace vdset

using namespace vdset;

extern "C" {

int32_t vdset_set_get_descriptor(vdset_set* set, int* out) {
  const Visit visit(visits_of(set));
  const std::int32_t result = judge_object(set, Kind::set, "set");
  if (result != VDSET_OK) return result;
  return open_pollable(set->bridges, owner_of(*set), set->pollable,
                       {set, set_word, nullptr, set_ready}, out);
}

int32_t vdset_set_arm(vdset_set* set) {
  const Visit visit(visits_of(set));
  const std::int32_t result = judge_object(set, Kind::set, "set");
  if (result != VDSET_OK) return result;
  return arm_pollable(set->pollable, set->name.text, false, port::never, note_configuration);
}

int32_t vdset_device_get_descriptor(vdset_device* device, int* out) {
  const Visit visit(visits_of(device));
  const std::int32_t result = judge_object(device, Kind::device, "device");
  if (result != VDSET_OK) return result;
  vdset_set& set = *device->set;
  return open_pollable(set.bridges, owner_of(set), device->pollable,
                       {device, device_word, &set.wake->devices[device->index].event, device_ready},
                       out);
}

int32_t vdset_device_arm(vdset_device* device) {
  const Visit visit(visits_of(device));
  const std::int32_t result = judge_object(device, Kind::device, "device");
  if (result != VDSET_OK) return result;
  const Turn turn(device->fetching);
  if (!turn.mine())
    return fail(VDSET_E_BUSY, "device %s: another thread is in get_command", device->name.text);
  return arm_pollable(device->pollable, device->name.text, device->closed.load(), port::never,
                      copy_ring);
}

}  // extern "C"
